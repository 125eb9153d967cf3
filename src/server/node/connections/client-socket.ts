import type { ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { TCP_KEEP_ALIVE_MS } from '../../../wire/protocol.ts';
import type { Traffic } from './traffic.ts';

/** How long a client may stay connected after its last answer, in milliseconds. */
export const CUT_DELAY_MS = 1000;

/**
 * A socket with the fields that Node keeps on it: the response that is being written, whether it is being read, and
 * whether the client has ended its side.
 */
type HttpSocket = Socket & {
  _httpMessage?: ServerResponse | null;
  _handle?: { reading?: boolean } | null;
  _readableState: { ended: boolean };
};

/**
 * With the fields that Node keeps on it: whether the connection closes after it, and who is notified of how much is
 * unsent.
 */
type NodeResponse = ServerResponse & { _last?: boolean; _onPendingData?: (bytes: number) => void };

const CLIENT = Symbol('client');

/** Listeners find it here: closures, or an entry in a map, would take memory for as long as the connection lasts. */
type OwnedSocket = HttpSocket & { [CLIENT]?: ClientSocket };

/** Owns a connection, or all of a server. */
export interface SocketOwner {
  /** Called when the client sends nothing more. */
  left?(socket: Socket): void;
  /** Called when the connection is closed; `hadError` when it failed. */
  closed(socket: Socket, hadError: boolean): void;
}

/**
 * A connection from accept to close, whoever owns it meanwhile: Node's HTTP,
 * what waits for an upgrade, a WebSocket. It does what Node's HTTP does not:
 * it listens for errors at any time, knows whether the client has left, and
 * makes an answer that is cut look cut.
 */
export class ClientSocket {
  readonly #socket: HttpSocket;
  /** Those that are not finished, in order; made with the first one. */
  #responses: ServerResponse[] | undefined;
  #leaveListeners: Set<() => void> | undefined;
  #serverOwner: SocketOwner | undefined;
  #owner: SocketOwner | undefined;
  /** Counts what it carries. */
  #traffic: Traffic | undefined;
  /** When its last request came, by `performance.now()`. */
  #begunMs: number | undefined;
  #hasLeft = false;
  #isRefused = false;
  #isOver = false;
  #cutTimer: NodeJS.Timeout | undefined;
  /** How many have paused it. */
  #pauseCount = 0;
  /** Time for the head of a request that could not come in time, and the timer for it. */
  #renewedMs = 0;
  #deadline: NodeJS.Timeout | undefined;

  private constructor(socket: HttpSocket) {
    this.#socket = socket;
    // The owner may listen, too; what an error means for the connection comes with `close`.
    socket.on('error', ignore);
    socket.on('end', ended);
    socket.on('close', closed);
    // An application's tests use fake connections.
    if (socket instanceof Socket) socket.destroy = destroy;
  }

  /** The one for `socket`, made by the first call. */
  static of(socket: Socket): ClientSocket {
    const owned = socket as OwnedSocket;
    owned[CLIENT] ??= new ClientSocket(owned);
    return owned[CLIENT];
  }

  /** Who is notified of its end from now on, after `serverOwner`. */
  set owner(owner: SocketOwner) {
    this.#owner = owner;
  }

  /** Who owns all connections of the server, and is notified of the end of each. */
  set serverOwner(serverOwner: SocketOwner) {
    this.#serverOwner = serverOwner;
  }

  /** Has what it carries counted, from the beginning. */
  countIn(traffic: Traffic): void {
    this.#traffic = traffic;
    traffic.accepted(this.#socket);
  }

  /** Notes that a request has come. */
  requested(): void {
    this.#begunMs = performance.now();
  }

  /** How long ago the last request came, in milliseconds; undefined where none has. */
  get sinceRequestMs(): number | undefined {
    return this.#begunMs === undefined ? undefined : performance.now() - this.#begunMs;
  }

  /**
   * Whether the client sends nothing more: it has closed its side or the
   * connection, which is the same as long as nothing is written to it.
   */
  get hasLeft(): boolean {
    return this.#hasLeft;
  }

  /** Whether it was refused, so that further requests are ignored. */
  get isRefused(): boolean {
    return this.#isRefused;
  }

  /** Whether the last answer has been sent; requests after that must not be processed (RFC 9112, section 9.6). */
  get isOver(): boolean {
    const answer = this.answer as NodeResponse | undefined;
    // Some refusals Node sends without notifying anybody.
    const isNodes = answer !== undefined && this.#responses?.includes(answer) !== true;
    return this.#isOver || (isNodes && answer._last === true);
  }

  /** Whether it is paused here, whatever the stream says. */
  get isPaused(): boolean {
    return this.#pauseCount > 0;
  }

  /** Whether it is not being read at the moment, so that it would go unnoticed if the client left. */
  get isUnread(): boolean {
    return this.#socket._handle?.reading === false;
  }

  /** The response whose turn it is on the connection, begun or not. */
  get answer(): ServerResponse | undefined {
    return this.#socket._httpMessage ?? undefined;
  }

  /** The responses that are not finished, in order. */
  get responses(): readonly ServerResponse[] {
    return [...(this.#responses ?? [])];
  }

  /**
   * Calls `listener` once, when the client leaves; not if it has left already.
   *
   * @returns removes the listener
   */
  onLeave(listener: () => void): () => void {
    this.#leaveListeners ??= new Set();
    this.#leaveListeners.add(listener);
    return () => this.#leaveListeners?.delete(listener);
  }

  /**
   * Pauses reading until everybody who has paused it has resumed it. Calls of
   * `resume()` by others, as Node's for a body, have no effect meanwhile.
   *
   * @returns resumes it; idempotent
   */
  pause(): () => void {
    const socket = this.#socket;
    this.#pauseCount++;
    if (this.#pauseCount === 1) {
      socket.resume = () => socket;
      socket.on('resume', stop);
      stop.call(socket);
    }
    let isPaused = true;
    return () => {
      if (!isPaused) return;
      isPaused = false;
      this.#pauseCount--;
      if (this.#pauseCount === 0) this.#resume();
    };
  }

  /** Gives the client this long for the head of its next request, from when reading is resumed. */
  renewHeadTimeout(timeoutMs: number): void {
    this.#renewedMs = timeoutMs;
  }

  /** Notes a response. Returns whether it is a new one. */
  begin(response: ServerResponse): boolean {
    this.#responses ??= [];
    if (this.#responses.includes(response)) return false;
    clearTimeout(this.#deadline);
    this.#responses.push(response);
    response.once('close', () => this.#closed(response));
    response.once('finish', () => {
      this.#isOver ||= (response as NodeResponse)._last === true;
    });
    return true;
  }

  /** Leaves errors and the client's end to ws, which listens for them by now. */
  upgraded(): void {
    this.#socket.off('error', ignore).off('end', ended);
  }

  /** Ends the connection after this answer. */
  endAfter(response: ServerResponse): void {
    this.#isRefused = true;
    (response as NodeResponse)._last = true;
  }

  /**
   * Ends the connection with an answer, or without one if that is empty, and closes it as soon as
   * the client does, or after a second. What it still sends is dropped: a connection that is closed
   * with bytes unread is reset, and the answer is lost.
   */
  end(answer: string): void {
    this.#socket.end(answer);
    this.#resume();
    this.cutAfter(CUT_DELAY_MS);
  }

  /** Lets what was sent arrive, and cuts the connection after `timeoutMs`. */
  cutAfter(timeoutMs: number): void {
    this.#isRefused = true;
    this.#cutTimer ??= setTimeout(() => this.#socket.destroy(), timeoutMs);
  }

  /**
   * Calls `next` when the earlier requests are answered: two answers must not be
   * written at a time. Node no longer owns the connection, so that what it did
   * is done here: above all, to notice when the client leaves.
   */
  whenAnswered(next: () => void): void {
    const socket = this.#socket;
    const cut = () => void socket.destroy();
    const passOn = () => socket._httpMessage?.emit('drain');
    // Without consuming anything, which is for the next reader; so only as far as the stream's buffer goes.
    const look = () => {
      if (socket._readableState.ended) this.leave();
    };
    const settle = () => {
      const { answer } = this;
      if (answer !== undefined && !socket.destroyed) {
        answer.once('close', settle);
        return;
      }
      socket.off('timeout', cut).off('drain', passOn).off('readable', look);
      // A stream notices one tick later that the listener is gone.
      process.nextTick(() => {
        if (socket.writable) next();
      });
    };
    socket.on('timeout', cut).on('drain', passOn).on('readable', look);
    settle();
  }

  /** Notes that the client sends nothing more. */
  leave(): void {
    if (this.#hasLeft) return;
    this.#hasLeft = true;
    this.#serverOwner?.left?.(this.#socket);
    for (const listener of this.#leaveListeners ?? []) listener();
    this.#leaveListeners = undefined;
  }

  /** Notes that it is closed. */
  closed(hadError: boolean): void {
    clearTimeout(this.#cutTimer);
    clearTimeout(this.#deadline);
    this.leave();
    this.#letGo();
    this.#traffic?.closed(this.#socket);
    this.#serverOwner?.closed(this.#socket, hadError);
    this.#owner?.closed(this.#socket, hadError);
  }

  #closed(response: ServerResponse): void {
    const index = this.#responses?.indexOf(response) ?? -1;
    if (index >= 0) this.#responses?.splice(index, 1);
  }

  /** Frees the responses to pipelined requests, which would all stay in memory until the last one is done. */
  #letGo(): void {
    // Each of these listeners of Node's refers to all of them, and none will be called again.
    for (const response of this.#responses ?? []) {
      (response as NodeResponse)._onPendingData = ignore;
      response.removeAllListeners('finish');
    }
    this.#responses = undefined;
    // Not before the listeners of this event have run.
    process.nextTick(() => this.#socket.removeAllListeners());
  }

  #resume(): void {
    Reflect.deleteProperty(this.#socket, 'resume');
    this.#socket.off('resume', stop);
    if (this.#renewedMs > 0) this.#deadline = setTimeout(() => this.#socket.destroy(), this.#renewedMs);
    this.#renewedMs = 0;
    if (this.#socket.destroyed) return;
    this.#socket.resume();
    // Its owner may have changed while it was paused, and a stream does not ask again for what it has asked for.
    this.#socket._read(0);
  }
}

function ended(this: OwnedSocket): void {
  this[CLIENT]?.leave();
}

function closed(this: OwnedSocket, hadError: boolean): void {
  this[CLIENT]?.closed(hadError);
}

/** Also when it looks paused, or was resumed in this turn of the event loop: Node would still read. */
function stop(this: Socket): void {
  this.pause();
  this.emit('pause');
}

/**
 * Resets the connection when it is destroyed in the middle of an answer, by
 * whomever: Node and Fastify do that, too. A mere close would be a proper end to
 * clients of HTTP/1.0, and to whoever goes by the end of the connection.
 */
function destroy(this: OwnedSocket, error?: Error): OwnedSocket {
  this.destroy = Object.getPrototypeOf(this).destroy;
  const answer = this[CLIENT]?.answer;
  const isCut = answer?.headersSent === true && !answer.writableFinished && !this.writableEnded;
  // A connection that has failed by itself is over.
  if (isCut && !isOfSystem(error)) return reset(this);
  return this.destroy(error);
}

function isOfSystem(error: Error | undefined): boolean {
  return error !== undefined && 'syscall' in error;
}

/** The connection of the system: of TLS the one below it. Undefined if there is none. */
export function connectionOf(socket: Socket): Socket | undefined {
  return socket instanceof TLSSocket ? (socket as { _parent?: Socket })._parent : socket;
}

/**
 * Resets a connection: also the one below TLS, which has an end of its own that a cut lacks, but clients do not miss it.
 * A Unix socket cannot be reset, and is closed.
 */
export function reset<S extends Socket>(socket: S): S {
  const connection = connectionOf(socket);
  if (connection?.remoteAddress !== undefined) connection.resetAndDestroy();
  return socket.destroy();
}

function ignore(): void {}

/**
 * Notices a connection that has not been read for long, since more was sent ahead
 * than is taken: it would go unnoticed if its client left.
 */
export class ReadStall {
  readonly #socket: Socket;
  readonly #client: ClientSocket;
  #wasUnread = false;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.#client = ClientSocket.of(socket);
  }

  /** Whether it is so now and was at the last call. To be called at intervals. */
  lasts(): boolean {
    // Node does not read while the client takes nothing, either: then nothing was sent ahead.
    const isUnread = this.#client.isUnread && this.#socket.writableLength === 0;
    const lasts = isUnread && this.#wasUnread;
    this.#wasUnread = isUnread;
    return lasts;
  }
}

/**
 * Lets a client send and take nothing for as long as it likes; TCP keep-alive finds out whether its machine is still
 * there.
 */
export function allowIdle(socket: Socket): void {
  limitIdle(socket, 0);
  if (socket instanceof Socket) socket.setKeepAlive(true, TCP_KEEP_ALIVE_MS);
}

/**
 * Lets a client send and take nothing for this long, in milliseconds, before the socket emits `timeout`; 0: for ever.
 */
export function limitIdle(socket: Socket, timeoutMs: number): void {
  // An application's tests make up their connections.
  if (socket instanceof Socket) socket.setTimeout(timeoutMs);
}
