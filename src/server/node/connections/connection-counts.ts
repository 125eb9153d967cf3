import type { Socket } from 'node:net';

/** How many connections there may be. */
export interface ConnectionMaxima {
  /** Of all clients, … */
  max: number;
  /** … and of each. */
  maxPerClient: number;
}

/** The same, and what is one client. */
export interface ConnectionLimits extends ConnectionMaxima {
  /** What is one client by its address; undefined of one that is not limited by itself. */
  clientOf: (address: string | undefined) => string | undefined;
}

/** Why a connection is refused. */
export type ConnectionRefusal = 'connections' | 'connections_per_address';

/** How many connections there are, of all clients and of each. */
export class ConnectionCounts {
  #limits: ConnectionLimits;
  /** Those that count, and for which client. */
  readonly #sockets = new Map<Socket, string | undefined>();
  readonly #counts = new Map<string, number>();

  constructor(limits: ConnectionLimits) {
    this.#limits = limits;
  }

  /** Has others count from the next connection on. */
  change(maxima: ConnectionMaxima): void {
    this.#limits = { ...this.#limits, ...maxima };
  }

  /** Counts a connection, unless it is one too many: then it is said why. */
  add(socket: Socket): ConnectionRefusal | undefined {
    if (this.#sockets.size >= this.#limits.max) return 'connections';
    const client = this.#limits.clientOf(socket.remoteAddress);
    if (client !== undefined && !this.enter(client)) return 'connections_per_address';
    this.#sockets.set(socket, client);
    return undefined;
  }

  /** To be called when a connection is closed. */
  delete(socket: Socket): void {
    const client = this.#sockets.get(socket);
    if (this.#sockets.delete(socket) && client !== undefined) this.leave(client);
  }

  /** Counts a client, as for one who asks through a proxy. @returns false when that is one too many */
  enter(client: string): boolean {
    const count = this.#counts.get(client) ?? 0;
    if (count >= this.#limits.maxPerClient) return false;
    this.#counts.set(client, count + 1);
    return true;
  }

  /** To be called once for each {@link enter}. */
  leave(client: string): void {
    const left = (this.#counts.get(client) as number) - 1;
    if (left > 0) this.#counts.set(client, left);
    else this.#counts.delete(client);
  }
}
