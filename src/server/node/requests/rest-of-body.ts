import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import type { FastifyRequest } from 'fastify';

/** How long a client may go on sending after its answer, in milliseconds. */
const LINGER_MS = 2000;

/** Most bytes that are read only to be dropped: by then a client has its answer, if it reads at all. */
const MAX_BYTES = 64 * 1024 * 1024;

/** Limits of what is read only to be dropped. */
export interface DropLimits {
  /** For how long, in milliseconds. */
  timeoutMs: number;
  /** How many bytes. Default 64 MiB. */
  maxBytes?: number;
}

/**
 * Reads what is left of a body that nobody wants, and drops it.
 *
 * @returns whether it was read to its end; false when a limit is reached first, or the connection is gone
 */
export function dropRestOfBody(
  request: IncomingMessage,
  { timeoutMs, maxBytes = MAX_BYTES }: DropLimits,
): Promise<boolean> {
  return new Promise((resolve) => {
    let bytesLeft = maxBytes;
    const settle = () => {
      clearTimeout(timer);
      request.off('data', drop).off('end', settle).off('close', settle);
      // Else the rest would still be read, without limit.
      if (!request.complete) request.pause();
      resolve(request.complete);
    };
    const drop = (bytes: Buffer) => {
      bytesLeft -= bytes.length;
      if (bytesLeft < 0) settle();
    };
    const timer = setTimeout(settle, timeoutMs);
    request.on('data', drop).once('end', settle).once('close', settle);
    // Now: Node reads without limit what is unread when the answer is finished.
    request.resume();
    request.read();
    if (request.readableEnded || request.destroyed) settle();
  });
}

/**
 * Lets a client read an answer that came before it had sent its whole body, and go
 * on with its next request if the body ends soon. If not, the connection is cut.
 */
export async function linger(request: IncomingMessage): Promise<void> {
  if (request.complete) return;
  const isWhole = await dropRestOfBody(request, { timeoutMs: LINGER_MS });
  if (!isWhole) request.socket.destroy();
}

/** A longer body is not read to its end only to keep the connection. */
const SHORT_BODY_BYTES = 64 * 1024;

/** How long a client that still sends has to read the answer before its connection is cut, in milliseconds. */
const READ_ANSWER_MS = 1000;

/** Whether a request is answered while its body may still be coming, so that the connection cannot be used again. */
export function isBodyUnderWay({ complete, headers }: IncomingMessage): boolean {
  const isLong =
    headers['transfer-encoding'] !== undefined || Number(headers['content-length']) > SHORT_BODY_BYTES;
  return isLong && !complete;
}

/**
 * The answer to a request whose body is still under way, to be sent with its
 * `Content-Length`. Its end is held back until the client has stopped, or
 * {@link READ_ANSWER_MS} have passed: a connection that is closed with bytes unread is
 * reset, and the client loses what it has not read: the answer.
 */
export class EarlyAnswer extends Readable {
  readonly #request: FastifyRequest;
  readonly #text: Buffer;
  #isSent = false;

  constructor(request: FastifyRequest, text: Buffer) {
    super();
    this.#request = request;
    this.#text = text;
  }

  override _read(): void {
    if (this.#isSent) return;
    this.#isSent = true;
    this.push(this.#text);
    void this.#end();
  }

  async #end(): Promise<void> {
    await dropRestOfBody(this.#request.raw, { timeoutMs: READ_ANSWER_MS });
    if (!this.destroyed) this.push(null);
  }
}

const DESTROY = Symbol('destroy');

type KeptRequest = IncomingMessage & { [DESTROY]: IncomingMessage['destroy'] };

/**
 * Keeps Node from destroying a request with its connection when it has come as a
 * whole and only waits to be read: it is processed.
 */
export function keepWhole(request: IncomingMessage): void {
  // Not by a function of its own: see ReadPace.
  (request as KeptRequest)[DESTROY] = request.destroy;
  request.destroy = destroyUnlessWhole;
}

function destroyUnlessWhole(this: KeptRequest, error?: Error): IncomingMessage {
  const isAborted = (error as NodeJS.ErrnoException | undefined)?.code === 'ECONNRESET';
  return isAborted && this.complete && !this.readableEnded ? this : this[DESTROY](error);
}
