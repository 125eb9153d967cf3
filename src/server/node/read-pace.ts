import type { IncomingMessage } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { ClientSocket } from './client-socket.ts';
import { Turns } from './turns.ts';

/** Chunks of a body in one read. */
const MAX_CHUNKS = 1000;

/**
 * Keeps a connection on which very much comes in one read, tiny chunks or
 * requests, from holding up everybody else: Node would read two megabytes in a
 * row, and take seconds for what is in them. So after such a read it rests.
 */
export class ReadPace {
  readonly #client: ClientSocket;
  readonly #turns: Turns;
  readonly #maxCount: number;
  readonly #onRead: () => void;
  #count = 0;
  #readAtMs = 0;
  #isResting = false;

  /**
   * @param maxCount how many may come in one read without a rest after it
   * @param onRead called after each read that has brought any
   */
  constructor(client: ClientSocket, turns: Turns, maxCount: number, onRead: () => void = () => undefined) {
    this.#client = client;
    this.#turns = turns;
    this.#maxCount = maxCount;
    this.#onRead = onRead;
  }

  /** That of the chunks of the body of a request to `server`. */
  static ofBody({ socket }: IncomingMessage, server: object, onRead?: () => void): ReadPace {
    return new ReadPace(ClientSocket.of(socket), Turns.of(server), MAX_CHUNKS, onRead);
  }

  /** To be called for each that comes. */
  count(): void {
    this.#count++;
    if (this.#count > 1) return;
    this.#readAtMs = performance.now();
    // Those of one read come in a row, with nothing in between.
    queueMicrotask(() => this.#endRead());
  }

  #endRead(): void {
    if (this.#count > this.#maxCount && !this.#isResting) void this.#rest();
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
