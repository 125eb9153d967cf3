import type { IncomingMessage } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { ClientSocket } from './client-socket.ts';
import { Turns } from './turns.ts';

/** Chunks of a body in one read. */
const MAX_CHUNKS = 1000;

/**
 * Keeps a body of which very many tiny chunks come in one read from holding up
 * everybody else: Node would read two megabytes in a row, and take seconds for
 * what is in them. So after such a read its connection rests.
 */
export class ReadPace {
  readonly #client: ClientSocket;
  readonly #turns: Turns;
  readonly #onRead: () => void;
  #count = 0;
  #readAtMs = 0;
  #isResting = false;

  /**
   * That of the body of a request to `server`.
   *
   * @param onRead called after each read that has brought a chunk
   */
  constructor({ socket }: IncomingMessage, server: object, onRead: () => void = () => undefined) {
    this.#client = ClientSocket.of(socket);
    this.#turns = Turns.of(server);
    this.#onRead = onRead;
  }

  /** To be called for each chunk that comes. */
  count(): void {
    this.#count++;
    if (this.#count > 1) return;
    this.#readAtMs = performance.now();
    // Those of one read come in a row, with nothing in between.
    queueMicrotask(() => this.#endRead());
  }

  #endRead(): void {
    if (this.#count > MAX_CHUNKS && !this.#isResting) void this.#rest();
    this.#count = 0;
    this.#onRead();
  }

  /** For as long as what came took, so that others have half of the time. */
  async #rest(): Promise<void> {
    this.#isResting = true;
    const release = this.#client.hold();
    await this.#turns.next();
    await delay(performance.now() - this.#readAtMs);
    this.#isResting = false;
    release();
  }
}
