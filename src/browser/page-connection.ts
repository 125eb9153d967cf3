import type { Connect, Connection, ConnectionHandlers, Connector } from '../client/session/connection.ts';
import { ControlReader } from '../client/session/control-message.ts';
import type { StreamToken } from '../client/session/token.ts';
import { Watchdog } from '../client/session/watchdog.ts';
import { ConnectionError } from '../wire/errors.ts';
import {
  BEARER_PROTOCOL,
  CloseCode,
  type ControlMessage,
  HEARTBEAT_MS,
  SUBPROTOCOL,
  type TypeMessage,
  VERB_QUERY,
  type Verb,
} from '../wire/protocol.ts';
import { withScheme } from './page-url.ts';
import { whyRefused } from './refused-handshake.ts';

/** Time limit for the server to answer the handshake. */
const HANDSHAKE_TIMEOUT_MS = 30_000;

/** Time limit for a connection to close when nothing depends on it any more. */
const LAST_CLOSE_MS = 1000;

/** What a subprotocol may consist of (RFC 6455, section 4.1). */
const SUBPROTOCOL_FORM = /^[-!#$%&'*+.^_`|~\dA-Za-z]+$/;

/** Connects by WebSockets of the browser, with this token. */
export function connectWith(token: string | undefined): Connect {
  return (url, verb, handlers) => new PageConnection(url, verb, token, handlers);
}

/** Connects by WebSockets of the browser, with the token that is given or asked for. */
export function connectorOf(token: StreamToken | undefined): Connector {
  return typeof token === 'function' ? async () => connectWith(await token()) : () => connectWith(token);
}

/**
 * One WebSocket of the browser, from its handshake on. It cannot be paused, and says nothing of why it broke; of a
 * refusal {@link whyRefused} asks. Pages cannot ping: that a server is gone without a word is known if it has said
 * each second how things are, and else when the browser knows it.
 */
class PageConnection implements Connection {
  readonly isV2 = true;
  readonly #socket: WebSocket;
  readonly #verb: Verb;
  readonly #handlers: ConnectionHandlers;
  readonly #control = new ControlReader();
  /** Aborts the question why the handshake was refused. */
  readonly #abandoned = new AbortController();
  #isOver = false;
  #wasOpen = false;
  #bytesRead = 0;
  /** Whether the server says each second how things are, so that its silence means something. */
  #isTalkative = false;
  readonly #watchdog = new Watchdog(this);
  #heartbeat: ReturnType<typeof setInterval> | undefined;
  /** Time limit of the handshake, and later of the close after the end. */
  #deadline: ReturnType<typeof setTimeout>;

  /**
   * Starts the handshake.
   *
   * @throws {TypeError} when the token cannot be sent
   */
  constructor(url: URL, verb: Verb, token: string | undefined, handlers: ConnectionHandlers) {
    if (token !== undefined && !SUBPROTOCOL_FORM.test(token)) {
      throw new TypeError("a token that a page sends must be letters, digits and some of -!#$%&'*+.^_`|~");
    }
    this.#verb = verb;
    this.#handlers = handlers;
    const target = new URL(url);
    target.searchParams.set(VERB_QUERY, verb);
    const offered = token === undefined ? [SUBPROTOCOL] : [SUBPROTOCOL, BEARER_PROTOCOL + token];
    const socket = new WebSocket(withScheme(target, 'ws'), offered);
    this.#socket = socket;
    socket.binaryType = 'arraybuffer';
    const lateness = `the server has not answered within ${HANDSHAKE_TIMEOUT_MS / 1000} s`;
    this.#deadline = setTimeout(() => this.#giveUp(new ConnectionError(lateness)), HANDSHAKE_TIMEOUT_MS);
    socket.onopen = () => this.#opened();
    socket.onmessage = ({ data }) => this.#received(data);
    socket.onclose = ({ code, reason }) => {
      if (this.#wasOpen) this.#end(code, reason);
      else if (!this.#isOver) void this.#askWhy(target, token);
    };
  }

  /** How much has come; a message of text counts as a byte. */
  get bytesRead(): number {
    return this.#bytesRead;
  }

  get bufferedBytes(): number {
    return this.#socket.bufferedAmount;
  }

  /** Nobody is told when a browser has sent something. */
  send(bytes: Uint8Array): void {
    this.#socket.send(bytes as Uint8Array<ArrayBuffer>);
  }

  tell(message: TypeMessage): void {
    this.#socket.send(JSON.stringify(message));
  }

  pause(): void {}
  resume(): void {}

  close(code: number, reason = ''): void {
    this.#socket.close(code, reason);
  }

  awaitClose(): void {
    clearTimeout(this.#deadline);
    this.#deadline = setTimeout(() => {
      this.#socket.close();
      this.#end(CloseCode.abnormal, '');
    }, LAST_CLOSE_MS);
  }

  /** Pages may send few codes: of an appender that gives up there is one of its own. */
  abandon(code?: number): void {
    this.#isOver = true;
    this.#stopTimers();
    this.#abandoned.abort();
    const socket = this.#socket;
    const givesUp = this.#verb === 'APPEND' && code !== undefined;
    if (!givesUp) socket.close();
    // The server may have accepted it: one that breaks off would be waited for.
    else if (socket.readyState === WebSocket.CONNECTING)
      socket.onopen = () => socket.close(CloseCode.givenUp);
    else socket.close(CloseCode.givenUp);
  }

  #giveUp(error: Error): void {
    this.#socket.close();
    this.#end(CloseCode.abnormal, '', error);
  }

  #opened(): void {
    if (this.#isOver) return;
    this.#wasOpen = true;
    clearTimeout(this.#deadline);
    if (this.#socket.protocol !== SUBPROTOCOL) {
      this.#giveUp(new ConnectionError(`the server does not speak ${SUBPROTOCOL}`));
      return;
    }
    this.#heartbeat = setInterval(() => this.#beat(), HEARTBEAT_MS);
    this.#handlers.onOpen(this);
  }

  #received(data: string | ArrayBuffer): void {
    if (this.#isOver) return;
    let message: ControlMessage | undefined;
    try {
      if (typeof data === 'string') message = this.#control.read(data);
      else this.#control.assertNotEnded();
    } catch (error) {
      this.#giveUp(error as Error);
      return;
    }
    if (message === undefined) {
      const bytes = new Uint8Array(data as ArrayBuffer);
      this.#bytesRead += bytes.length;
      this.#handlers.onPayload(bytes);
    } else {
      this.#bytesRead++;
      this.#watchdog.messageArrived();
      if (message.type === 'status') this.#isTalkative = true;
      this.#handlers.onMessage(message);
    }
  }

  #beat(): void {
    const trouble = this.#watchdog.tick(!this.#isTalkative);
    if (trouble !== undefined) this.#giveUp(new ConnectionError(trouble));
  }

  #stopTimers(): void {
    clearTimeout(this.#deadline);
    clearInterval(this.#heartbeat);
  }

  async #askWhy(url: URL, token: string | undefined): Promise<void> {
    clearTimeout(this.#deadline);
    const answer = await whyRefused(url, token, this.#abandoned.signal);
    if (this.#isOver) return;
    if (answer instanceof ConnectionError) this.#end(CloseCode.abnormal, '', answer);
    else {
      this.#isOver = true;
      this.#handlers.onRefused(answer);
    }
  }

  #end(code: number, reason: string, error?: Error): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#stopTimers();
    this.#handlers.onEnd({ code, reason, isBetweenMessages: true, error });
  }
}
