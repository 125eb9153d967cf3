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
  /** Whether all of it is there; else whether it has been asked for meanwhile. */
  #hasBegun = false;
  #isAskedFor = false;

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

  /** To be called when all is added, and at work: what was asked for until then is done now. */
  async begin(): Promise<void> {
    this.#hasBegun = true;
    if (this.#isAskedFor) await this.run();
  }

  /**
   * Reads all of it again, once {@link begin} was called. Never rejects: what cannot be read stays as it was, and the log
   * says why.
   */
  async run(): Promise<void> {
    if (!this.#hasBegun) {
      this.#isAskedFor = true;
      return;
    }
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
