import type { FastifyRequest } from 'fastify';
import type { Asker } from '../../relay/readiness.ts';

/** In `Cache-Control` of a reader who wants what is there by now (RFC 9111, section 5.2.1). */
const REVALIDATES = /(?:^|[\s,])(?:no-cache|max-age=0)\b/;

/** Whether somebody is still there who has asked. */
export class Client {
  readonly #aborter = new AbortController();
  readonly #socket: FastifyRequest['raw']['socket'];
  #stays = false;

  constructor({ raw: { socket } }: FastifyRequest) {
    this.#socket = socket;
    socket.once('close', this.#abort);
    if (socket.destroyed) this.#abort();
  }

  get signal(): AbortSignal {
    return this.#aborter.signal;
  }

  /** Waits on, after the request has been given to others. */
  stay(): void {
    this.#stays = true;
  }

  release(): void {
    if (this.#stays) return;
    this.#socket.off('close', this.#abort);
    this.#abort();
  }

  readonly #abort = (): void => this.#aborter.abort();
}

/**
 * Who asks by a request.
 *
 * @param waitMs how long it waits for what is not there, in milliseconds
 */
export function askerOf(request: FastifyRequest, waitMs: number, { signal }: Client): Asker {
  const { pragma, 'cache-control': control = pragma } = request.headers;
  return { via: viaOf(request), waitMs, revalidates: REVALIDATES.test(control ?? ''), signal };
}

/** The servers through which a request has come. */
export function viaOf({ headers: { via } }: FastifyRequest): string | undefined {
  return Array.isArray(via) ? via.join(', ') : via;
}
