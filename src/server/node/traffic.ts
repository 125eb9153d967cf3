import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';

/** Methods that are counted each by itself; there may be any others. */
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS'];

const OTHER = 'other';

/** A number of answers. */
export interface Answers {
  method: string;
  status: number;
  count: number;
}

/** What is counted of a server's connections and requests; fields, which are read when somebody asks. */
export class Traffic {
  /** How many connections were accepted. */
  connections = 0;
  /** By method, then by status: as many as there are of both, however many requests. */
  readonly #answers = new Map<string, Map<number, number>>();
  /** The connections below TLS: what goes over the wire. */
  readonly #open = new Set<Socket>();
  #received = 0;
  #sent = 0;

  /** How many connections there are now. */
  get openConnections(): number {
    return this.#open.size;
  }

  /** How many bytes have come and gone over the wire. What was written to a connection that broke may not have gone. */
  get bytes(): { received: number; sent: number } {
    let [received, sent] = [this.#received, this.#sent];
    for (const { bytesRead, bytesWritten } of this.#open) {
      received += bytesRead;
      sent += bytesWritten;
    }
    return { received, sent };
  }

  /** How many requests were answered, or upgraded. */
  get answers(): Answers[] {
    return [...this.#answers].flatMap(([method, counts]) =>
      [...counts].map(([status, count]) => ({ method, status, count })),
    );
  }

  /** Counts a connection until {@link closed}. Idempotent. */
  accepted(socket: Socket): void {
    if (this.#open.has(socket)) return;
    this.#open.add(socket);
    this.connections++;
  }

  /** Counts what a connection has carried. */
  closed(socket: Socket): void {
    if (!this.#open.delete(socket)) return;
    this.#received += socket.bytesRead;
    this.#sent += socket.bytesWritten;
  }

  /** Counts an answer. */
  answered({ method = OTHER }: IncomingMessage, status: number): void {
    const name = METHODS.includes(method) ? method : OTHER;
    const counts = this.#answers.get(name) ?? new Map<number, number>();
    if (counts.size === 0) this.#answers.set(name, counts);
    counts.set(status, (counts.get(status) ?? 0) + 1);
  }
}
