import type { IncomingMessage } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { ClientSocket } from './client-socket.ts';
import { Turns } from './turns.ts';

/** Most chunks of a body that may come in one read, or wait to be taken. */
const MAX_CHUNKS = 1000;

/**
 * Keeps a body of very many tiny chunks from blocking the event loop. Node
 * would read two megabytes in a row and take seconds to parse them; or it would
 * buffer as many chunks as a paused body may have bytes, and emit them all at
 * once. So the connection is paused after a read that has brought too many.
 */
export class ReadPace {
  readonly #request: IncomingMessage;
  readonly #client: ClientSocket;
  readonly #turns: Turns;
  /** Chunks of this read, and those that wait. */
  #chunkCount = 0;
  /** How much had come by this read, which tells reads apart; and when it began. */
  #bytesRead = 0;
  #readAtMs = 0;
  #isResting = false;
  #onTaken: () => void = () => undefined;

  private constructor(request: IncomingMessage, server: object) {
    this.#request = request;
    this.#client = ClientSocket.of(request.socket);
    this.#turns = Turns.of(server);
    const push = request.push.bind(request);
    request.push = (chunk: unknown, encoding?: BufferEncoding) => {
      if (chunk !== null) this.#count();
      return push(chunk, encoding);
    };
    // Every way to take what waits ends up here.
    const read = request.read.bind(request);
    request.read = (size?: number) => {
      const taken: unknown = read(size);
      if (request.readableLength === 0) this.#onTaken();
      return taken;
    };
    request.once('close', () => this.#onTaken());
  }

  /** Watches the body of a request to `server`. */
  static keep(request: IncomingMessage, server: object): void {
    void new ReadPace(request, server);
  }

  #count(): void {
    const { bytesRead } = this.#request.socket;
    if (bytesRead !== this.#bytesRead) {
      this.#bytesRead = bytesRead;
      this.#readAtMs = performance.now();
      if (this.#request.readableLength === 0) this.#chunkCount = 0;
    }
    this.#chunkCount++;
    if (this.#chunkCount > MAX_CHUNKS && !this.#isResting) void this.#rest();
  }

  /** For as long as the read took, so that others have half of the time, and until its chunks are taken. */
  async #rest(): Promise<void> {
    this.#isResting = true;
    const resume = this.#client.pause();
    await this.#turns.next();
    await delay(performance.now() - this.#readAtMs);
    await this.#taken();
    this.#chunkCount = 0;
    this.#isResting = false;
    resume();
  }

  async #taken(): Promise<void> {
    if (this.#request.readableLength === 0 || this.#request.destroyed) return;
    await new Promise<void>((resolve) => {
      this.#onTaken = resolve;
    });
  }
}
