import type { Logger } from 'pino';
import { messageOf } from '../io/io.ts';

/** What a server reads again when it is told to (SIGHUP). */
export class Reloads {
  readonly #reloads = new Map<string, () => Promise<void>>();
  readonly #logger: Logger;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /**
   * Adds what is read again from now on.
   *
   * @param what for the log
   * @param reload leaves everything as it was when it rejects
   */
  add(what: string, reload: () => Promise<void>): void {
    this.#reloads.set(what, reload);
  }

  /** Reads all of it again. Never rejects: what cannot be read stays as it was, and the log says why. */
  async run(): Promise<void> {
    this.#logger.info({ what: [...this.#reloads.keys()] }, 'reloading');
    for (const [what, reload] of this.#reloads) {
      try {
        await reload();
      } catch (error) {
        this.#logger.error(
          { what, reason: messageOf(error) },
          `${what} cannot be reloaded: all stays as it was`,
        );
      }
    }
  }
}
