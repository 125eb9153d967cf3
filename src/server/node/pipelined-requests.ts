import type { Socket } from 'node:net';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ClientSocket } from './client-socket.ts';

/** How many requests of one connection may wait for their turn before nothing more is read from it. */
const MAX_WAITING = 16;

/**
 * Lets the requests of a connection begin one after the other. Those that a
 * client has sent ahead would open their files and read from them, though
 * nobody can have their answers yet.
 */
export class PipelinedRequests {
  /** How many wait, by connection. */
  readonly #waiting = new WeakMap<Socket, number>();
  /** What lets a connection be read again. */
  readonly #releases = new WeakMap<Socket, () => void>();
  /** Settles when the last that is {@link inTurn} is over, by connection. */
  readonly #last = new WeakMap<Socket, Promise<unknown>>();

  /** Resolves when it is the request's turn, or its connection is gone. A hook for `onRequest`. */
  async wait(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    const response = reply.raw;
    const { socket } = request.raw;
    // Behind another request's answer a response has no connection yet.
    if (response.socket !== null || socket.destroyed) return;
    const count = (this.#waiting.get(socket) ?? 0) + 1;
    this.#waiting.set(socket, count);
    if (count === MAX_WAITING) this.#releases.set(socket, ClientSocket.of(socket).hold());
    await new Promise<void>((resolve) => {
      const settle = () => {
        response.off('socket', settle);
        socket.off('close', settle);
        resolve();
      };
      // With a listener for each, which may be many.
      socket.setMaxListeners(0);
      response.once('socket', settle);
      socket.once('close', settle);
    });
    const left = (this.#waiting.get(socket) as number) - 1;
    this.#waiting.set(socket, left);
    if (left === MAX_WAITING - 1) this.#releases.get(socket)?.();
  }

  /**
   * Runs `action` when those of the requests before are over: also once the
   * connection is gone, and with it what {@link wait} waits for.
   */
  inTurn<T>({ raw: { socket } }: FastifyRequest, action: () => Promise<T>): Promise<T> {
    const turn = (this.#last.get(socket) ?? Promise.resolve()).then(action, action);
    this.#last.set(socket, turn);
    return turn;
  }
}
