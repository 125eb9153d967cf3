import { AsyncResource } from 'node:async_hooks';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { ClientSocket } from '../connections/client-socket.ts';

/** How much may wait on one connection before reading is paused: a reset takes what is unread with it. */
const MAX_AHEAD_BYTES = 256 * 1024;

/** Memory that a request takes with its response, beside its head and body. */
const REQUEST_BYTES = 4 * 1024;

const WRITES: ReadonlySet<string | undefined> = new Set(['DELETE', 'POST', 'PUT']);

/** One for each connection. */
const ofSocket = new WeakMap<Socket, RequestQueue>();

interface Waiting {
  request: IncomingMessage;
  response: ServerResponse;
  bytes: number;
  begin: () => void;
}

/**
 * The requests of a connection: they begin one after the other, and each in a
 * turn of the event loop of its own. Node would begin the two thousand that may
 * come in one read before anybody else is served, though the answer to the second
 * cannot be sent before that to the first.
 */
export class RequestQueue {
  readonly #socket: Socket;
  readonly #client: ClientSocket;
  readonly #queues: WaitingQueues;
  readonly #waiting: Waiting[] = [];
  #bytes = 0;
  /** The request that is being processed. */
  #current: Pick<Waiting, 'request' | 'response'> | undefined;
  /** Settles when the last action of {@link inTurn} is done. */
  #done: Promise<unknown> = Promise.resolve();
  /** Whether that is the current request's, and what is called when it is. */
  #hasTurn = false;
  #onTurn: () => void = () => undefined;
  #isCut = false;
  /** Set while the connection is paused. */
  #resume: (() => void) | undefined;

  private constructor(socket: Socket, server: object) {
    this.#socket = socket;
    this.#client = ClientSocket.of(socket);
    this.#queues = WaitingQueues.of(server);
    socket.once('close', () => void this.#finish());
  }

  /** The one for a connection of `server`, made by the first call. */
  static of(socket: Socket, server: object): RequestQueue {
    let queue = ofSocket.get(socket);
    if (queue === undefined) {
      queue = new RequestQueue(socket, server);
      ofSocket.set(socket, queue);
    }
    return queue;
  }

  /** About how much memory the waiting requests take. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Calls `begin` now, or when the earlier requests are answered; never if one of
   * those is the last to be answered.
   */
  enqueue(request: IncomingMessage, response: ServerResponse, begin: () => void): void {
    // The rest of what was read together with the last one still comes.
    if (this.#isCut || this.#socket.destroyed || this.#client.isRefused || this.#client.isOver) return;
    response.once('close', () => this.#goOn());
    if (this.#current === undefined) {
      this.#begin({ request, response, begin });
      return;
    }
    const bytes = bytesOf(request);
    // An application's async context must be that of this request, not of the one before.
    this.#waiting.push({ request, response, bytes, begin: AsyncResource.bind(begin) });
    this.#bytes += bytes;
    if (this.#bytes >= MAX_AHEAD_BYTES) this.#resume ??= this.#client.pause();
    this.#queues.added(this, bytes);
  }

  /** Runs `action` after those of the earlier requests, even when the connection is gone. */
  inTurn<T>(action: () => Promise<T>): Promise<T> {
    const turn = this.#done.then(action, action);
    this.#done = turn;
    this.#hasTurn = true;
    this.#onTurn();
    return turn;
  }

  /** Drops the waiting requests, and cuts the connection. */
  cut(): void {
    this.#isCut = true;
    this.#clear();
    this.#socket.destroy();
  }

  #begin({ request, response, begin }: Omit<Waiting, 'bytes'>): void {
    this.#current = { request, response };
    this.#hasTurn = false;
    begin();
  }

  /**
   * In another turn of the event loop, if there is a next one yet: many requests are answered in the one in which they
   * begin.
   */
  #goOn(): void {
    if (this.#client.isOver) this.#clear();
    // #finish() sees to the rest.
    if (this.#socket.destroyed) return;
    if (this.#waiting.length === 0) {
      this.#current = undefined;
      return;
    }
    setImmediate(() => {
      if (this.#socket.destroyed) return;
      this.#current = undefined;
      const next = this.#next();
      if (next !== undefined) this.#begin(next);
    });
  }

  /** Processes, in order, the writes that have come as a whole, though their client is gone. */
  async #finish(): Promise<void> {
    if (this.#client.isOver) this.#clear();
    await this.#over();
    for (let next = this.#next(); next !== undefined; next = this.#next()) {
      if (!isDue(next.request)) continue;
      this.#begin(next);
      await nextTurn();
      await this.#over();
      // Whoever is told by then what came of it has answered.
      await nextTurn();
      close(next.response);
    }
  }

  /** Resolves when the current request is done; there are no events for it any more. */
  async #over(): Promise<void> {
    const { request, response } = this.#current ?? {};
    if (response === undefined || !WRITES.has(request?.method)) return;
    if (!this.#hasTurn && !response.writableEnded) {
      await new Promise<void>((resolve) => {
        this.#onTurn = resolve;
        // It may be refused before its turn.
        const end = response.end.bind(response) as (...args: unknown[]) => ServerResponse;
        response.end = (...args: unknown[]) => {
          resolve();
          return end(...args);
        };
      });
    }
    await this.#done.catch(() => undefined);
  }

  #next(): Waiting | undefined {
    const next = this.#waiting.shift();
    if (next !== undefined) this.#forget(next.bytes);
    return next;
  }

  #clear(): void {
    this.#waiting.length = 0;
    this.#forget(this.#bytes);
  }

  #forget(bytes: number): void {
    this.#bytes -= bytes;
    this.#queues.removed(this, bytes);
    if (this.#bytes > 0) return;
    this.#resume?.();
    this.#resume = undefined;
  }
}

/** Does what Node does at the end of a response, but not of one whose connection was gone before its turn. */
function close(response: ServerResponse): void {
  response.destroyed = true;
  response.emit('close');
}

function isDue({ method, complete }: IncomingMessage): boolean {
  return complete && WRITES.has(method);
}

/** About how much memory a request takes until it begins: of its body no more is read than a stream buffers. */
function bytesOf({ rawHeaders, url = '', headers, readableHighWaterMark }: IncomingMessage): number {
  let bytes = REQUEST_BYTES + url.length;
  for (const text of rawHeaders) bytes += text.length;
  const isChunked = headers['transfer-encoding'] !== undefined;
  const length = isChunked ? readableHighWaterMark : Number(headers['content-length'] ?? 0);
  return bytes + Math.min(length, readableHighWaterMark);
}

/** What may wait on all connections of a server together. */
const MAX_WAITING_BYTES = 40 * 1024 * 1024;

/** One for each server. */
const ofServer = new WeakMap<object, WaitingQueues>();

/** Bounds how much waits on all connections together. */
class WaitingQueues {
  /** Those that are not empty; first the one that has been stuck for the longest time. */
  readonly #queues = new Set<RequestQueue>();
  #bytes = 0;

  /** The one for `server`, made by the first call. */
  static of(server: object): WaitingQueues {
    let queues = ofServer.get(server);
    if (queues === undefined) {
      queues = new WaitingQueues();
      ofServer.set(server, queues);
    }
    return queues;
  }

  /** Called when a queue has grown. When all together are too long, those are cut that are stuck. */
  added(queue: RequestQueue, bytes: number): void {
    this.#bytes += bytes;
    this.#queues.add(queue);
    for (const longest of this.#queues) {
      if (this.#bytes <= MAX_WAITING_BYTES) return;
      longest.cut();
    }
  }

  /** Called when a queue has shrunk, and so is not stuck. */
  removed(queue: RequestQueue, bytes: number): void {
    this.#bytes -= bytes;
    this.#queues.delete(queue);
    if (queue.bytes > 0) this.#queues.add(queue);
  }
}
