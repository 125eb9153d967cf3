import type { IncomingMessage } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { ClientSocket } from '../connections/client-socket.ts';
import { Turns } from './turns.ts';

/** Most chunks of a body that may come in one read, or wait to be taken. */
const MAX_CHUNKS = 1000;

const PACE = Symbol('pace');

/**
 * Functions of a request find it here. Functions of its own for each request would take memory, and V8 comes to keep
 * them, with their requests, until a full collection.
 */
type PacedRequest = IncomingMessage & { [PACE]: ReadPace };

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
  /** The request's own, or what an application has put in their place. */
  readonly #push: IncomingMessage['push'];
  readonly #read: IncomingMessage['read'];
  /** Chunks of this read, and those that wait. */
  #chunkCount = 0;
  /** How much had come by this read, which tells reads apart; and when it began. */
  #bytesRead = 0;
  #readAtMs = 0;
  #isResting = false;
  #onTaken: (() => void) | undefined;

  private constructor(request: IncomingMessage, server: object) {
    this.#request = request;
    this.#client = ClientSocket.of(request.socket);
    this.#turns = Turns.of(server);
    this.#push = request.push;
    this.#read = request.read;
    (request as PacedRequest)[PACE] = this;
    request.push = push;
    request.read = read;
    request.once('close', closed);
  }

  /** Watches the body of a request to `server`. */
  static keep(request: IncomingMessage, server: object): void {
    void new ReadPace(request, server);
  }

  /** Counts a chunk that has come, and passes it on. */
  push(chunk: unknown, encoding: BufferEncoding | undefined): boolean {
    if (chunk !== null) this.#count();
    return this.#push.call(this.#request, chunk, encoding);
  }

  /** Every way to take what waits ends up here. */
  read(size: number | undefined): unknown {
    const bytes: unknown = this.#read.call(this.#request, size);
    if (this.#request.readableLength === 0) this.#onTaken?.();
    return bytes;
  }

  /** Notes that nothing more will be taken. */
  closed(): void {
    this.#onTaken?.();
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

function push(this: PacedRequest, chunk: unknown, encoding?: BufferEncoding): boolean {
  return this[PACE].push(chunk, encoding);
}

function read(this: PacedRequest, size?: number): unknown {
  return this[PACE].read(size);
}

function closed(this: PacedRequest): void {
  this[PACE].closed();
}
