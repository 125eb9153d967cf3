import { type IncomingMessage, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';

/** Methods that are counted each by itself; there may be any others. */
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS'];

const OTHER = 'other';

/** One that is registered, or any other: what an upstream has answered may be any number. */
type Status = number | typeof OTHER;

/** A number of answers. */
export interface Answers {
  method: string;
  status: Status;
  count: number;
}

/** What is counted of a server's connections and requests; fields, which are read when somebody asks. */
export class Traffic {
  /** How many connections were accepted. */
  connections = 0;
  /** By method, then by status: as many as there are of both, however many requests. */
  readonly #answers = new Map<string, Map<Status, number>>();
  /** The connections below TLS: what goes over the wire. */
  readonly #open = new Set<Socket>();
  #received = 0;
  #sent = 0;
  /** How many were said to be sent at the last question: a counter never goes back. */
  #toldSent = 0;

  /** How many connections there are now. */
  get openConnections(): number {
    return this.#open.size;
  }

  /** How many bytes have come and gone over the wire. What was written to a connection that broke may not have gone. */
  get bytes(): { received: number; sent: number } {
    let [received, sent] = [this.#received, this.#sent];
    for (const { bytesRead, bytesWritten, writableLength } of this.#open) {
      received += bytesRead;
      // Node counts what waits in the stream, too, until it is dropped because the connection breaks.
      sent += bytesWritten - writableLength;
    }
    // What waits as text has another length.
    this.#toldSent = Math.max(this.#toldSent, sent);
    return { received, sent: this.#toldSent };
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
    const counts = this.#answers.get(name) ?? new Map<Status, number>();
    if (counts.size === 0) this.#answers.set(name, counts);
    const code = status in STATUS_CODES ? status : OTHER;
    counts.set(code, (counts.get(code) ?? 0) + 1);
  }
}
