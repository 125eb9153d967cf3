import type { EventEmitter } from 'node:events';
import type { FastifyRequest } from 'fastify';
import type { Asker } from '../../relay/pull/asker.ts';
import { ClientSocket } from '../node/connections/client-socket.ts';
import { isHandshake } from '../request/request-target.ts';

/** In `Cache-Control` of a reader who wants what is there by now (RFC 9111, section 5.2.1). */
const REVALIDATES = /(?:^|[\s,])(?:no-cache|max-age=0)\b/i;

/** Whether somebody is still there who has asked. */
export class Client {
  readonly #aborter = new AbortController();
  readonly #leaver = new AbortController();
  readonly #unwatch: () => void;
  readonly #socket: FastifyRequest['raw']['socket'];
  #stays = false;

  constructor({ raw: { socket } }: FastifyRequest) {
    this.#socket = socket;
    socket.once('close', this.#abort);
    const client = ClientSocket.of(socket);
    const leave = () => this.#leaver.abort();
    this.#unwatch = client.onLeave(leave);
    if (client.hasLeft) leave();
    if (socket.destroyed) this.#abort();
  }

  get signal(): AbortSignal {
    return this.#aborter.signal;
  }

  /**
   * Aborts when it sends nothing more: as long as nothing is written to it, it cannot be told from one that is gone. It
   * gets an answer if there is one.
   */
  get left(): AbortSignal {
    return this.#leaver.signal;
  }

  /** Waits on, after the request has been given to others, until this closes: its answer, or its connection. */
  stay(until: EventEmitter): void {
    until.once('close', this.#abort);
    this.#stays = true;
  }

  release(): void {
    this.#unwatch();
    this.#socket.off('close', this.#abort);
    if (!this.#stays || this.#socket.destroyed) this.#abort();
  }

  readonly #abort = (): void => this.#aborter.abort();
}

/**
 * Who asks by a request.
 *
 * @param waitMs how long it waits for what is not there, in milliseconds
 */
export function askerOf(request: FastifyRequest, waitMs: number, { signal, left }: Client): Asker {
  const { pragma, 'cache-control': control = pragma } = request.headers;
  // With each handshake a browser says so by itself.
  const revalidates = !isHandshake(request) && REVALIDATES.test(control ?? '');
  return { via: viaOf(request), waitMs, revalidates, signal, left };
}

/** The servers through which a request has come. */
export function viaOf({ headers: { via } }: FastifyRequest): string | undefined {
  return Array.isArray(via) ? via.join(', ') : via;
}
