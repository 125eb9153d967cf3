import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyRequest } from 'fastify';
import { ClientSocket } from './client-socket.ts';
import { Turns } from './turns.ts';

/**
 * After so many chunks in one read the connection is not read until its next
 * turn. Node would read two megabytes in a row, and take seconds if the chunks are small.
 */
const MAX_CHUNKS_A_TURN = 1000;

/** Keeps a body that comes in tiny chunks from holding up everybody else. */
export class ChunkPace {
  readonly #body: Readable;
  readonly #client: ClientSocket;
  readonly #turns: Turns;
  readonly #onRead: () => void;
  #chunkCount = 0;
  #readAtMs = 0;
  #isResting = false;
  #isWanted = true;

  /** @param onRead called after each read from the socket that has brought chunks */
  constructor({ raw, server }: FastifyRequest, body: Readable, onRead: () => void) {
    this.#body = body;
    this.#client = ClientSocket.of(raw.socket);
    this.#turns = Turns.of(server.server);
    this.#onRead = onRead;
  }

  /** Pauses the body. */
  pause(): void {
    this.#isWanted = false;
    this.#body.pause();
  }

  /** Lets the body go on, after its rest if it has one. */
  resume(): void {
    this.#isWanted = true;
    if (!this.#isResting) this.#body.resume();
  }

  /** To be called for each chunk of the body. */
  count(): void {
    this.#chunkCount++;
    if (this.#chunkCount > 1) return;
    this.#readAtMs = performance.now();
    // Those of one read come in a row, with nothing in between.
    queueMicrotask(() => this.#endRead());
  }

  #endRead(): void {
    if (this.#chunkCount > MAX_CHUNKS_A_TURN) void this.#rest();
    this.#chunkCount = 0;
    this.#onRead();
  }

  /** For as long as the read took, so that others have half of the time. */
  async #rest(): Promise<void> {
    this.#body.pause();
    if (this.#isResting) return;
    this.#isResting = true;
    const release = this.#client.hold();
    const tookMs = performance.now() - this.#readAtMs;
    await this.#turns.next();
    await delay(tookMs);
    this.#isResting = false;
    release();
    if (this.#isWanted) this.#body.resume();
  }
}
