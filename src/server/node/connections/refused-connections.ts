import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { Server as TlsServer } from 'node:tls';
import type { FastifyBaseLogger } from 'fastify';
import { ClientSocket } from './client-socket.ts';
import type { ConnectionRefusal } from './connection-counts.ts';
import { rawProblem } from './problem.ts';
import { Refusals } from './refusals.ts';
import { retryAfterOf } from './retry-after.ts';

/** How many of them at a time may stay until the refusal has been read. */
const MAX_LINGERING = 16;

/** Shortest time between two log lines about them. */
const REPORT_INTERVAL_MS = 60_000;

const BUSY = { status: 503, code: 'HFS_SERVER_BUSY', detail: 'the server has too many connections' };

const TOO_MANY_OF_ADDRESS = {
  status: 429,
  code: 'HFS_TOO_MANY_REQUESTS',
  detail: 'there are too many connections from this address',
};

/** Why, for the log. */
const REASONS = {
  descriptors: 'the process has hardly any descriptors left (ulimit -n)',
  connections: 'there are as many as may be (-max-connections)',
  connections_per_address: 'an address has as many as it may have (-max-connections-per-address)',
};

/** Refuses connections before anything has come over them. */
export class RefusedConnections {
  readonly #server: Server;
  readonly #log: FastifyBaseLogger | undefined;
  #lingeringCount = 0;
  #refusedCount = 0;
  #reportedAt = Number.NEGATIVE_INFINITY;

  constructor(server: Server, log: FastifyBaseLogger | undefined) {
    this.#server = server;
    this.#log = log;
  }

  /** Answers, where that can be read, and closes. Descriptors are needed for those who are connected. */
  refuse(socket: Socket, reason: ConnectionRefusal | 'descriptors'): void {
    const problem = reason === 'connections_per_address' ? TOO_MANY_OF_ADDRESS : BUSY;
    const answer = rawProblem(problem, [['Retry-After', retryAfterOf(problem.code) as string]]);
    Refusals.of(this.#server).count(reason);
    this.#report(reason);
    if (this.#server instanceof TlsServer) {
      socket.destroy();
    } else if (this.#lingeringCount < MAX_LINGERING) {
      this.#lingeringCount++;
      socket.once('close', () => this.#lingeringCount--);
      ClientSocket.of(socket).end(answer);
    } else {
      socket.end(answer);
      socket.destroySoon();
    }
  }

  #report(reason: keyof typeof REASONS): void {
    this.#refusedCount++;
    const now = performance.now();
    if (now - this.#reportedAt < REPORT_INTERVAL_MS) return;
    this.#log?.warn({ refused: this.#refusedCount }, `connections are refused: ${REASONS[reason]}`);
    this.#reportedAt = now;
    this.#refusedCount = 0;
  }
}
