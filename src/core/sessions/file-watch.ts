import { Pace } from '../../storage/pace.ts';
import type { Root } from '../../storage/root.ts';
import {
  type HttpfstreamError,
  ResourceGoneError,
  ResourceNotFoundError,
  StreamTruncatedError,
} from '../../wire/errors.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import type { Feed } from '../feed.ts';
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
    const pace = new Pace();
    for (const [session, resource] of this.#watched) {
      const change = await this.examine(session.feed, resource);
      if (change !== undefined) session.lose(change);
      await pace.rest();
    }
    this.#isLooking = false;
    this.#timer = undefined;
    if (this.#watched.size > 0) this.#arm();
  }

  /**
   * Finds out what another program has done to the file of a feed to which
   * a session appends. Never rejects; undefined when all is well.
   *
   * @param resource the name under which the file was opened
   */
  async examine(feed: Feed, resource: ResourcePath): Promise<HttpfstreamError | undefined> {
    // From before the look: what comes while it is under way, it need not have seen.
    const { committed } = feed;
    try {
      const { identity, size } = await this.#root.stat(resource);
      if (identity !== feed.file.stat.identity) return new ResourceGoneError('the file was made anew');
      return size < committed ? new StreamTruncatedError('the file was cut') : undefined;
    } catch (error) {
      // What else may go wrong, a write will tell.
      return error instanceof ResourceNotFoundError
        ? new ResourceGoneError('the file was deleted')
        : undefined;
    }
  }
}
