import type { ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { TCP_KEEP_ALIVE_MS } from '../../wire/protocol.ts';

/** How long a client that was told to go may stay, in milliseconds. */
export const FAREWELL_MS = 1000;

/**
 * A connection with what Node keeps on it: the response that it writes now, whether it is read, and whether the
 * client's end has come.
 */
type HttpSocket = Socket & {
  _httpMessage?: ServerResponse | null;
  _handle?: { reading?: boolean } | null;
  _readableState: { ended: boolean };
};

/** With what Node keeps on it: whether the connection is closed after it, and whom it tells how much waits to be sent. */
type NodeResponse = ServerResponse & { _last?: boolean; _onPendingData?: (bytes: number) => void };

const CLIENT = Symbol('client');

/** Listeners find it here, and whoever asks: closures, and an entry somewhere, would be there as long as the connection. */
type OwnedSocket = HttpSocket & { [CLIENT]?: ClientSocket };

/** Who has a connection, or all of a server. */
export interface SocketOwner {
  /** Is told that the client sends nothing more. */
  left?(socket: Socket): void;
  /** Is told that it is closed; `hadError` when that was not in order. */
  closed(socket: Socket, hadError: boolean): void;
}

/**
 * A connection from when it is accepted until it is closed, whoever has it
 * meanwhile: Node's HTTP, who waits for an upgrade, a WebSocket. It is what
 * Node's HTTP is not: a listener for errors at any time, somebody who knows
 * whether the client has left, and who sees to it that what is cut looks cut.
 */
export class ClientSocket {
  readonly #socket: HttpSocket;
  /** Those that are not over yet, in order, once there was one. */
  #responses: Set<ServerResponse> | undefined;
  #leaveListeners: Set<() => void> | undefined;
  #keeper: SocketOwner | undefined;
  #owner: SocketOwner | undefined;
  #hasLeft = false;
  #isRefused = false;
  #isOver = false;
  #farewell: NodeJS.Timeout | undefined;
  /** How many have paused it. */
  #pauseCount = 0;
  /** How long it has for the head of a request that could not come in time, and what ends that. */
  #renewedMs = 0;
  #deadline: NodeJS.Timeout | undefined;

  private constructor(socket: HttpSocket) {
    this.#socket = socket;
    // Whoever has it may listen, too; what it means for the connection comes with `close`.
    socket.on('error', ignore);
    socket.on('end', ended);
    socket.on('close', closed);
    // An application's tests make up their connections.
    if (socket instanceof Socket) socket.destroy = destroy;
  }

  /** That of `socket`, from the first call on. */
  static of(socket: Socket): ClientSocket {
    const owned = socket as OwnedSocket;
    owned[CLIENT] ??= new ClientSocket(owned);
    return owned[CLIENT];
  }

  /** Tells who has it, from now on, of its end; after `keeper`, who has all of a server. */
  set owner(owner: SocketOwner) {
    this.#owner = owner;
  }

  /** Tells who has all connections of a server of its end. */
  set keeper(keeper: SocketOwner) {
    this.#keeper = keeper;
  }

  /**
   * Whether the client sends nothing more: it has closed its side or the
   * connection, which is the same as long as nothing is written to it.
   */
  get hasLeft(): boolean {
    return this.#hasLeft;
  }

  /** Whether it was told to go, so that what it asks for from now on is not heard. */
  get isRefused(): boolean {
    return this.#isRefused;
  }

  /** Whether the last answer is out; what was asked for after that must not be carried out (RFC 9112, section 9.6). */
  get isOver(): boolean {
    const answer = this.answer as NodeResponse | undefined;
    // Some refusals Node makes without a word to anybody.
    const isNodes = answer !== undefined && this.#responses?.has(answer) !== true;
    return this.#isOver || (isNodes && answer._last === true);
  }

  /** Whether it is paused here, whatever the stream says. */
  get isPaused(): boolean {
    return this.#pauseCount > 0;
  }

  /** Whether nothing is read from it at the moment, so that nobody would notice if the client left. */
  get isDeaf(): boolean {
    return this.#socket._handle?.reading === false;
  }

  /** The response that has the connection now, begun or not. */
  get answer(): ServerResponse | undefined {
    return this.#socket._httpMessage ?? undefined;
  }

  /** The responses that are not out yet, in order. */
  get responses(): readonly ServerResponse[] {
    return [...(this.#responses ?? [])];
  }

  /**
   * Calls `listener` once, when the client leaves; not if it has left already.
   *
   * @returns what takes it back
   */
  onLeave(listener: () => void): () => void {
    this.#leaveListeners ??= new Set();
    this.#leaveListeners.add(listener);
    return () => this.#leaveListeners?.delete(listener);
  }

  /**
   * Pauses reading, until all who have called it have called what it returns.
   * Others that resume the connection meanwhile, like Node for a body, have no effect.
   *
   * @returns what resumes it
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

  /** Gives the client so long for the head of its next request, once that is read again. */
  renewPatience(patienceMs: number): void {
    this.#renewedMs = patienceMs;
  }

  /** Takes note of a response. Returns whether it is a new one. */
  begin(response: ServerResponse): boolean {
    this.#responses ??= new Set();
    if (this.#responses.has(response)) return false;
    clearTimeout(this.#deadline);
    this.#responses.add(response);
    response.once('close', () => this.#responses?.delete(response));
    response.once('finish', () => {
      this.#isOver ||= (response as NodeResponse)._last === true;
    });
    return true;
  }

  /** Lets the answers up to this one go out, and ends the connection then. */
  endAfter(response: ServerResponse): void {
    this.#isRefused = true;
    (response as NodeResponse)._last = true;
  }

  /**
   * Says the last words, and hangs up as soon as the client does, and after a
   * second at the latest. What it still sends is dropped: a connection that is
   * closed with bytes unread is reset, and the words with it.
   */
  dismiss(lastWords: string): void {
    this.#socket.end(lastWords);
    this.#resume();
    this.cutSoon(FAREWELL_MS);
  }

  /** Lets the client have what is on its way, and cuts it after `patienceMs`. */
  cutSoon(patienceMs: number): void {
    this.#isRefused = true;
    this.#farewell ??= setTimeout(() => this.#socket.destroy(), patienceMs);
  }

  /**
   * Calls `next` when the requests before are answered: two answers must not go
   * to a connection at a time. Node has let go of it, so that what Node has
   * ceased to do is done here: looking whether the client leaves, above all.
   */
  whenAnswered(next: () => void): void {
    const socket = this.#socket;
    const cut = () => void socket.destroy();
    const passOn = () => socket._httpMessage?.emit('drain');
    // Without taking anything out, so that whoever reads next finds all of it; so only up to what the stream holds.
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
      // A stream knows one tick later that nobody looks any more.
      process.nextTick(() => {
        if (socket.writable) next();
      });
    };
    socket.on('timeout', cut).on('drain', passOn).on('readable', look);
    settle();
  }

  /** Takes note that the client sends nothing more. */
  leave(): void {
    if (this.#hasLeft) return;
    this.#hasLeft = true;
    this.#keeper?.left?.(this.#socket);
    for (const listener of this.#leaveListeners ?? []) listener();
    this.#leaveListeners = undefined;
  }

  /** Takes note that it is closed. */
  closed(hadError: boolean): void {
    clearTimeout(this.#farewell);
    clearTimeout(this.#deadline);
    this.leave();
    this.#letGo();
    this.#keeper?.closed(this.#socket, hadError);
    this.#owner?.closed(this.#socket, hadError);
  }

  /** Keeps the responses to all that a client has sent ahead from staying for as long as one of them is worked on. */
  #letGo(): void {
    // Each of these of Node's listeners holds on to all of them. None will be told anything any more.
    for (const response of this.#responses ?? []) {
      (response as NodeResponse)._onPendingData = ignore;
      response.removeAllListeners('finish');
    }
    this.#responses = undefined;
    // Those that are called now still are.
    process.nextTick(() => this.#socket.removeAllListeners());
  }

  #resume(): void {
    Reflect.deleteProperty(this.#socket, 'resume');
    this.#socket.off('resume', stop);
    if (this.#renewedMs > 0) this.#deadline = setTimeout(() => this.#socket.destroy(), this.#renewedMs);
    this.#renewedMs = 0;
    if (this.#socket.destroyed) return;
    this.#socket.resume();
    // Who had it when it was stopped may have let go of it, and a stream asks for nothing more while it waits for what it asked for.
    this.#socket._read(0);
  }
}

function ended(this: OwnedSocket): void {
  this[CLIENT]?.leave();
}

function closed(this: OwnedSocket, hadError: boolean): void {
  this[CLIENT]?.closed(hadError);
}

/** Also when it seems paused, or was resumed in this turn of the event loop: Node goes on reading then. */
function stop(this: Socket): void {
  this.pause();
  this.emit('pause');
}

/**
 * Makes a reset of every cut in the middle of an answer, whoever makes it: Node
 * and Fastify do by themselves. A mere close is a proper end to clients of
 * HTTP/1.0, and to whoever goes by the end of the connection.
 */
function destroy(this: OwnedSocket, error?: Error): OwnedSocket {
  this.destroy = Object.getPrototypeOf(this).destroy;
  const answer = this[CLIENT]?.answer;
  const isCut = answer?.headersSent === true && !answer.writableFinished && !this.writableEnded;
  // A connection that has failed by itself is over.
  if (isCut && !isOfSystem(error) && canReset(this)) return this.resetAndDestroy();
  return this.destroy(error);
}

function isOfSystem(error: Error | undefined): boolean {
  return error !== undefined && 'syscall' in error;
}

/** TLS has an end of its own that a cut lacks, and a socket of the file system no reset. */
function canReset(socket: Socket): boolean {
  return !(socket instanceof TLSSocket) && socket.remoteAddress !== undefined;
}

function ignore(): void {}

/**
 * Notices a connection that is not read for long, since more was sent ahead than
 * is taken: whether its client leaves, nobody could see.
 */
export class Deafness {
  readonly #socket: Socket;
  readonly #client: ClientSocket;
  #wasDeaf = false;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.#client = ClientSocket.of(socket);
  }

  /** Whether it is so at this look and was at the last one. To be called at intervals. */
  lasts(): boolean {
    // Node does not read from who does not take what it is sent: that is not the client's doing ahead.
    const isDeaf = this.#client.isDeaf && this.#socket.writableLength === 0;
    const lasts = isDeaf && this.#wasDeaf;
    this.#wasDeaf = isDeaf;
    return lasts;
  }
}

/** Lets a client say nothing, and take nothing, for as long as it likes; the system finds out whether its machine is still there. */
export function allowSilence(socket: Socket): void {
  limitSilence(socket, 0);
  if (socket instanceof Socket) socket.setKeepAlive(true, TCP_KEEP_ALIVE_MS);
}

/** Lets a client say and take nothing for so long, in milliseconds, before the connection emits `timeout`; 0 for ever. */
export function limitSilence(socket: Socket, timeoutMs: number): void {
  // An application's tests make up their connections.
  if (socket instanceof Socket) socket.setTimeout(timeoutMs);
}
