import type { Connect, Connection, ConnectionHandlers, Connector } from '../client/session/connection.ts';
import { ControlReader } from '../client/session/control-message.ts';
import type { StreamToken } from '../client/session/token.ts';
import { ConnectionError } from '../wire/errors.ts';
import {
  BEARER_PROTOCOL,
  CloseCode,
  type ControlMessage,
  SUBPROTOCOL,
  type TypeMessage,
  VERB_QUERY,
  type Verb,
} from '../wire/protocol.ts';
import { withScheme } from './page-url.ts';
import { whyRefused } from './refused-handshake.ts';

/** Time limit for the server to answer the handshake. */
const HANDSHAKE_TIMEOUT_MS = 30_000;

/** Time limit for the first message of a server. */
const FIRST_MESSAGE_MS = 30_000;

/** Time limit for a connection to close when nothing depends on it any more. */
const LAST_CLOSE_MS = 1000;

/** What a subprotocol may consist of (RFC 6455, section 4.1). */
const SUBPROTOCOL_FORM = /^[-!#$%&'*+.^_`|~\dA-Za-z]+$/;

/** Connects by WebSockets of the browser, with the token that is given or asked for. */
export function connectorOf(token: StreamToken | undefined): Connector {
  const connectWith =
    (given: string | undefined): Connect =>
    (url, verb, handlers) =>
      new PageConnection(url, verb, given, handlers);
  return typeof token === 'function' ? async () => connectWith(await token()) : () => connectWith(token);
}

/**
 * One WebSocket of the browser, from its handshake on. It cannot be paused, and says nothing of why it broke; of a
 * refusal {@link whyRefused} asks. That a server is gone without a word is known when the browser knows it: pages
 * cannot ping.
 */
class PageConnection implements Connection {
  readonly isV2 = true;
  readonly #socket: WebSocket;
  readonly #handlers: ConnectionHandlers;
  readonly #control = new ControlReader();
  /** Aborts the question why the handshake was refused. */
  readonly #abandoned = new AbortController();
  #isOver = false;
  #wasOpen = false;
  #hasBegun = false;
  /** Time limit of the handshake, then of the first message, and later of the close after the end. */
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
    this.#handlers = handlers;
    const target = new URL(url);
    target.searchParams.set(VERB_QUERY, verb);
    const offered = token === undefined ? [SUBPROTOCOL] : [SUBPROTOCOL, BEARER_PROTOCOL + token];
    const socket = new WebSocket(withScheme(target, 'ws'), offered);
    this.#socket = socket;
    socket.binaryType = 'arraybuffer';
    this.#deadline = this.#giveUpAfter(HANDSHAKE_TIMEOUT_MS, 'the server has not answered');
    socket.onopen = () => this.#opened();
    socket.onmessage = ({ data }) => this.#received(data);
    socket.onclose = ({ code, reason }) => {
      if (this.#wasOpen) this.#end(code, reason);
      else void this.#askWhy(target, token);
    };
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

  abandon(): void {
    this.#isOver = true;
    clearTimeout(this.#deadline);
    this.#abandoned.abort();
    this.#socket.close();
  }

  #giveUpAfter(ms: number, why: string): ReturnType<typeof setTimeout> {
    return setTimeout(() => {
      this.#socket.close();
      this.#end(CloseCode.abnormal, '', new ConnectionError(`${why} within ${ms / 1000} s`));
    }, ms);
  }

  #opened(): void {
    if (this.#isOver) return;
    this.#wasOpen = true;
    clearTimeout(this.#deadline);
    if (this.#socket.protocol !== SUBPROTOCOL) {
      this.#socket.close();
      this.#end(CloseCode.abnormal, '', new ConnectionError(`the server does not speak ${SUBPROTOCOL}`));
      return;
    }
    this.#deadline = this.#giveUpAfter(FIRST_MESSAGE_MS, 'the server has not begun');
    this.#handlers.onOpen(this);
  }

  #received(data: string | ArrayBuffer): void {
    if (this.#isOver) return;
    let message: ControlMessage | undefined;
    try {
      if (typeof data === 'string') message = this.#control.read(data);
      else this.#control.assertNotEnded();
    } catch (error) {
      this.#socket.close();
      this.#end(CloseCode.abnormal, '', error as Error);
      return;
    }
    if (message === undefined) {
      this.#handlers.onPayload(new Uint8Array(data as ArrayBuffer));
    } else {
      if (!this.#hasBegun) clearTimeout(this.#deadline);
      this.#hasBegun = true;
      this.#handlers.onMessage(message);
    }
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
    clearTimeout(this.#deadline);
    this.#handlers.onEnd({ code, reason, isBetweenMessages: true, error });
  }
}
