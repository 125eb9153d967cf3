import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { ClientSocket } from './client-socket.ts';

/** Requests that may wait on all connections of a server together; each takes some 4 KB. */
const MAX_WAITING = 10_000;

/** So many may wait before nothing more is read: who resets a connection takes with it what is unread. */
const MAX_AHEAD = 16;

const WRITES: ReadonlySet<string | undefined> = new Set(['DELETE', 'POST', 'PUT']);

/** One for each connection. */
const ofSocket = new WeakMap<Socket, RequestQueue>();

/** One for each server. */
const ofServer = new WeakMap<object, WaitingQueues>();

interface Waiting {
  request: IncomingMessage;
  begin: () => void;
}

/**
 * The requests of a connection: they begin one after the other, and each in a
 * turn of the event loop of its own. Node would begin the two thousand that a
 * client may send in one read before anybody else is served, though nobody can
 * have the answer to the second before that to the first.
 */
export class RequestQueue {
  readonly #socket: Socket;
  readonly #client: ClientSocket;
  readonly #queues: WaitingQueues;
  #waiting: Waiting[] = [];
  #isBusy = false;
  /** Settles when what {@link inTurn} was given is done. */
  #done: Promise<unknown> = Promise.resolve();
  /** Lets the connection be read again. */
  #release: () => void = () => undefined;

  private constructor(socket: Socket, server: object) {
    this.#socket = socket;
    this.#client = ClientSocket.of(socket);
    this.#queues = WaitingQueues.of(server);
    socket.once('close', () => void this.#finish());
  }

  /** That of a connection of `server`, from the first call on. */
  static of(socket: Socket, server: object): RequestQueue {
    let queue = ofSocket.get(socket);
    if (queue === undefined) {
      queue = new RequestQueue(socket, server);
      ofSocket.set(socket, queue);
    }
    return queue;
  }

  /** How many requests wait. */
  get length(): number {
    return this.#waiting.length;
  }

  /**
   * Calls `begin`, now or when the requests before are answered; never, when
   * one of those is the last that is answered.
   */
  admit(request: IncomingMessage, response: ServerResponse, begin: () => void): void {
    if (this.#client.isRefused) return;
    response.once('close', () => this.#goOn());
    if (!this.#isBusy) {
      this.#isBusy = true;
      begin();
      return;
    }
    this.#waiting.push({ request, begin });
    if (this.#waiting.length === MAX_AHEAD) this.#release = this.#client.hold();
    this.#queues.added(this, 1);
  }

  /** Runs `action` when those of the requests before are over: also once the connection is gone. */
  inTurn<T>(action: () => Promise<T>): Promise<T> {
    const turn = this.#done.then(action, action);
    this.#done = turn;
    return turn;
  }

  /** Drops what waits, and cuts the connection. */
  cut(): void {
    this.#clear();
    this.#socket.destroy();
  }

  /** In another turn of the event loop: many requests are answered in the one in which they begin. */
  #goOn(): void {
    if (this.#client.isOver) this.#clear();
    setImmediate(() => {
      // What is left then goes another way.
      if (this.#socket.destroyed) return;
      const next = this.#next();
      this.#isBusy = next !== undefined;
      next?.begin();
    });
  }

  /** Carries out what was to be written and has come as a whole, though its client is gone. */
  async #finish(): Promise<void> {
    const isDue = ({ request }: Waiting) => request.complete && WRITES.has(request.method);
    const writes = this.#client.isOver ? [] : this.#waiting.filter(isDue);
    this.#clear();
    this.#waiting = writes;
    this.#queues.added(this, writes.length);
    for (let next = this.#next(); next !== undefined; next = this.#next()) {
      next.begin();
      await nextTurn();
      await this.#done.catch(() => undefined);
    }
  }

  #next(): Waiting | undefined {
    const next = this.#waiting.shift();
    if (next === undefined) return undefined;
    this.#queues.removed(this, 1);
    if (this.#waiting.length === 0) this.#release();
    return next;
  }

  #clear(): void {
    const { length } = this.#waiting;
    this.#waiting = [];
    this.#queues.removed(this, length);
    this.#release();
  }
}

/** Bounds how many requests wait on all connections together. */
class WaitingQueues {
  readonly #queues = new Set<RequestQueue>();
  #count = 0;

  static of(server: object): WaitingQueues {
    let queues = ofServer.get(server);
    if (queues === undefined) {
      queues = new WaitingQueues();
      ofServer.set(server, queues);
    }
    return queues;
  }

  /** Tells that so many more wait in a queue; the longest is cut when there are too many. */
  added(queue: RequestQueue, count: number): void {
    if (count === 0) return;
    this.#count += count;
    this.#queues.add(queue);
    if (this.#count <= MAX_WAITING) return;
    let longest = queue;
    for (const other of this.#queues) if (other.length > longest.length) longest = other;
    longest.cut();
  }

  /** Tells that so many wait no longer. */
  removed(queue: RequestQueue, count: number): void {
    this.#count -= count;
    if (queue.length === 0) this.#queues.delete(queue);
  }
}
