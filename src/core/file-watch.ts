import { ResourceGoneError, ResourceNotFoundError, StreamTruncatedError } from '../errors.ts';
import type { ResourcePath } from '../storage/resource-path.ts';
import type { Root } from '../storage/root.ts';
import type { Session } from './session.ts';

/**
 * Looks now and then whether the files of sessions are still what they were:
 * one timer for all of them, and one file at a time. (A write looks, too; this
 * is for sessions that are quiet.)
 */
export class FileWatch {
  readonly #root: Root;
  readonly #intervalMs: number;
  readonly #watched = new Map<Session, ResourcePath>();
  #timer: NodeJS.Timeout | undefined;
  #isLooking = false;

  /** @param intervalMs time between two looks, that of looking aside */
  constructor(root: Root, intervalMs: number) {
    this.#root = root;
    this.#intervalMs = intervalMs;
  }

  /** @param resource the name under which the file was opened */
  add(session: Session, resource: ResourcePath): void {
    this.#watched.set(session, resource);
    this.#arm();
  }

  delete(session: Session): void {
    this.#watched.delete(session);
    if (this.#watched.size > 0 || this.#isLooking) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** While it looks, the timer that is over counts as armed. */
  #arm(): void {
    this.#timer ??= setTimeout(() => void this.#look(), this.#intervalMs).unref();
  }

  async #look(): Promise<void> {
    this.#isLooking = true;
    for (const [session, resource] of this.#watched) {
      const { committed, file } = session.feed;
      try {
        const { identity, size } = await this.#root.stat(resource);
        if (identity !== file.stat.identity) session.lose(new ResourceGoneError('the file was made anew'));
        else if (size < committed) session.lose(new StreamTruncatedError('the file was cut'));
      } catch (error) {
        // What else may go wrong, a write will tell.
        if (error instanceof ResourceNotFoundError)
          session.lose(new ResourceGoneError('the file was deleted'));
      }
    }
    this.#isLooking = false;
    this.#timer = undefined;
    if (this.#watched.size > 0) this.#arm();
  }
}
