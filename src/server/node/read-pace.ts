import type { IncomingMessage } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { ClientSocket } from './client-socket.ts';
import { Turns } from './turns.ts';

/** Chunks of a body that may come in one read, or wait to be taken. */
const MAX_CHUNKS = 1000;

/**
 * Keeps a body of very many tiny chunks from holding up everybody else. Node
 * would read two megabytes in a row, and take seconds for what is in them; or it
 * would gather as many chunks as a body that is paused may have bytes, and give
 * them away at once. So after a read that has brought too many the connection rests.
 */
export class ReadPace {
  readonly #request: IncomingMessage;
  readonly #client: ClientSocket;
  readonly #turns: Turns;
  /** Those of this read, and those that wait. */
  #chunkCount = 0;
  /** What had come with the connection by this read, which tells it from others; and when it began. */
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
    // Whoever takes what waits, and however, does it with this.
    const read = request.read.bind(request);
    request.read = (size?: number) => {
      const taken: unknown = read(size);
      if (request.readableLength === 0) this.#onTaken();
      return taken;
    };
    request.once('close', () => this.#onTaken());
  }

  /** Keeps it for the body of a request to `server`, from now on. */
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

  /** For as long as what came took, so that others have half of the time, and until it is taken. */
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
