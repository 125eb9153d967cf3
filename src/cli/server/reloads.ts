import type { Logger } from 'pino';
import { messageOf } from '../io/io.ts';

/** What can be read again. */
export interface Reloadable {
  /** Leaves everything as it was when it rejects. */
  reload(): Promise<void>;
  /** Whether what was there last is what counts: not while that is broken. */
  readonly isCurrent: boolean;
}

/** What a server reads again when it is told to (SIGHUP). */
export class Reloads {
  readonly #reloads = new Map<string, Reloadable>();
  /** What could not be read the last time. */
  readonly #failed = new Set<string>();
  readonly #logger: Logger;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /**
   * Adds what is read again from now on.
   *
   * @param what for the log
   */
  add(what: string, reloadable: Reloadable): void {
    this.#reloads.set(what, reloadable);
  }

  /** Whether all that was read last counts. */
  get isCurrent(): boolean {
    return this.#failed.size === 0 && [...this.#reloads.values()].every(({ isCurrent }) => isCurrent);
  }

  /** Reads all of it again. Never rejects: what cannot be read stays as it was, and the log says why. */
  async run(): Promise<void> {
    this.#logger.info({ what: [...this.#reloads.keys()] }, 'reloading');
    for (const [what, reloadable] of this.#reloads) {
      try {
        await reloadable.reload();
        this.#failed.delete(what);
      } catch (error) {
        this.#failed.add(what);
        this.#logger.error(
          { what, reason: messageOf(error) },
          `${what} cannot be reloaded: all stays as it was`,
        );
      }
    }
  }
}
