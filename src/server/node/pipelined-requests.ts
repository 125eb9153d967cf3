import type { Socket } from 'node:net';
import type { FastifyReply, FastifyRequest } from 'fastify';

/**
 * Lets the requests of a connection begin one after the other. Those that a
 * client has sent ahead would open their files and read from them, though
 * nobody can have their answers yet.
 */
export class PipelinedRequests {
  /** Settles when the last that is {@link inTurn} is over, by connection. */
  readonly #last = new WeakMap<Socket, Promise<unknown>>();

  /** Resolves when it is the request's turn, or its connection is gone. A hook for `onRequest`. */
  async wait(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    const response = reply.raw;
    const { socket } = request.raw;
    // Behind another request's answer a response has no connection yet.
    if (response.socket !== null || socket.destroyed) return;
    await new Promise<void>((resolve) => {
      const settle = () => {
        response.off('socket', settle);
        socket.off('close', settle);
        resolve();
      };
      // With a listener for each.
      socket.setMaxListeners(0);
      response.once('socket', settle);
      socket.once('close', settle);
    });
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
