import { once } from 'node:events';
import net from 'node:net';
import type { FastifyInstance } from 'fastify';
import { addressOf, type ListenAddress } from './listen-address.ts';

/** How many connections may wait to be accepted: after a restart all clients come back at once. */
export const BACKLOG = 4096;

/**
 * Where the connections of one server come in: at its own listening socket, and at those beside it. Fastify would open
 * a second server for a second address, without the listeners of the first: it would send `100 Continue` at once, and
 * its connections would not be closed with those of the first. Here the first server gets all connections.
 */
export class Entrances {
  readonly #app: FastifyInstance;
  readonly #others = new Set<net.Server>();
  readonly #closed = new Set<Promise<unknown>>();

  /** To be made before the server listens. */
  constructor(app: FastifyInstance) {
    this.#app = app;
    app.addHook('preClose', async () => this.#closeOthers());
    app.addHook('onClose', async () => {
      app.server.closeIdleConnections();
      await Promise.all(this.#closed);
    });
  }

  /**
   * Opens one more.
   *
   * @throws what listening throws
   */
  async open(where: net.ListenOptions | { fd: number }): Promise<void> {
    const { server } = this.#app;
    // The options of Node's HTTP server.
    const options = { allowHalfOpen: true, noDelay: true };
    const other = net.createServer(options, (socket) => server.emit('connection', socket));
    // By itself it would take any number: what the first server bounds it counts as its own.
    if (server.maxConnections !== undefined) other.maxConnections = server.maxConnections;
    this.#others.add(other);
    // As an argument: with a descriptor the option is ignored.
    other.listen(where, BACKLOG);
    await once(other, 'listening');
    other.on('error', (error) => server.emit('error', error));
  }

  /** The addresses at which it listens. Unix sockets have none. */
  get addresses(): ListenAddress[] {
    return [this.#app.server, ...this.#others].map(addressOf).filter((address) => address !== undefined);
  }

  /** Accepts no more connections; those that are there stay. Idempotent. */
  close(): void {
    // Node's HTTP would close the idle ones, too, on which requests may be under way.
    if (this.#app.server.listening) net.Server.prototype.close.call(this.#app.server);
    this.#closeOthers();
  }

  #closeOthers(): void {
    for (const other of this.#others) {
      if (other.listening) this.#closed.add(new Promise((resolve) => other.close(resolve)));
    }
  }
}
