import type { ClientSocket } from './client-socket.ts';

/** So many connections are read for the first time in one turn of the event loop. */
const MAX_ENTRIES = 8;

/**
 * Lets those who come at the same time in a few at a time. What hundreds of
 * connections have sent ahead would all be read before anybody else is served.
 */
export class Entrance {
  /** What lets those in who wait, in order. */
  readonly #waiting: (() => void)[] = [];
  #entered = 0;

  /** Lets a connection be read, now or in a later turn. */
  admit(client: ClientSocket): void {
    if (this.#entered === 0) setImmediate(() => this.#turn());
    if (this.#entered < MAX_ENTRIES) this.#entered++;
    else this.#waiting.push(client.hold());
  }

  #turn(): void {
    const entering = this.#waiting.splice(0, MAX_ENTRIES);
    this.#entered = entering.length;
    if (entering.length > 0) setImmediate(() => this.#turn());
    for (const release of entering) release();
  }
}
