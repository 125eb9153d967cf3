import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import type { FastifyRequest } from 'fastify';
import { dropRestOfBody } from './rest-of-body.ts';

/** A body that is longer than this is not read to its end only to keep the connection. */
const SHORT_BODY_BYTES = 64 * 1024;

/** How long a client that still sends has to read the answer before its connection is cut, in milliseconds. */
const PATIENCE_MS = 1000;

/** Whether an answer to the request comes before its body may have, so that the connection cannot be used again. */
export function isBodyUnderWay({ complete, headers }: IncomingMessage): boolean {
  const isLong =
    headers['transfer-encoding'] !== undefined || Number(headers['content-length']) > SHORT_BODY_BYTES;
  return isLong && !complete;
}

/**
 * The answer to a request whose body is still under way, to be sent with its
 * `Content-Length`. Its end is held back until the client has stopped, or
 * {@link PATIENCE_MS} are over: a connection that is closed with bytes unread is
 * reset, and a reset takes what the client has not read, the answer, say.
 */
export class LastWords extends Readable {
  readonly #request: FastifyRequest;
  readonly #text: Buffer;
  #isSaid = false;

  constructor(request: FastifyRequest, text: Buffer) {
    super();
    this.#request = request;
    this.#text = text;
  }

  override _read(): void {
    if (this.#isSaid) return;
    this.#isSaid = true;
    this.push(this.#text);
    void this.#end();
  }

  async #end(): Promise<void> {
    await dropRestOfBody(this.#request.raw, { patienceMs: PATIENCE_MS });
    if (!this.destroyed) this.push(null);
  }
}
