import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { ConnectionError } from '../../wire/errors.ts';
import { PayloadTap } from '../../wire/payload-tap.ts';
import {
  CloseCode,
  type ControlMessage,
  HEARTBEAT_MS,
  SUBPROTOCOL,
  TCP_KEEP_ALIVE_MS,
  VERB_HEADER,
  type Verb,
} from '../../wire/protocol.ts';
import { VERSION } from '../../wire/version.ts';
import type { StreamOptions } from '../options.ts';
import { MAX_TIMER_MS } from '../retry.ts';
import { cannotConnect } from './cannot-connect.ts';
import type { ConnectionEnd } from './connection-end.ts';
import { ControlReader } from './control-message.ts';
import { splitCredentials } from './credentials.ts';
import type { RequestHeaders } from './handshake-headers.ts';
import { proxyAgentFor } from './proxy.ts';
import { Silence } from './silence.ts';
import { WebSocket } from './websocket.ts';

/** Time for the server to answer the handshake. */
const HANDSHAKE_TIMEOUT_MS = 30_000;

/** Time for the server to answer a close frame: it may have much to write before that. */
const CLOSE_TIMEOUT_MS = 300_000;

/** Time that a connection may take to close when nothing depends on it any more. */
const FAREWELL_MS = 1000;

// Not in ws's types yet.
const UNTYPED_OPTIONS = { closeTimeout: CLOSE_TIMEOUT_MS };

/** What a connection tells. Nothing is called after `abandon`. */
export interface ConnectionHandlers {
  /** The WebSocket is open. */
  onOpen: (connection: Connection) => void;
  /** The server answered without upgrading. Nothing else is called then. */
  onResponse: (response: IncomingMessage) => void;
  onPayload: (bytes: Buffer) => void;
  /** Only where the subprotocol is spoken. */
  onMessage: (message: ControlMessage) => void;
  /** The last call, for connections that could not be made, too. */
  onEnd: (end: ConnectionEnd) => void;
}

/** What a connection is made with. */
export interface ConnectionOptions extends Pick<StreamOptions, 'agent' | 'ca'> {
  headers: RequestHeaders;
  /**
   * How long a legacy server may take nothing of what it is sent, in
   * milliseconds; others are known to be alive by their pongs. Default: any time.
   */
  stallTimeoutMs?: number;
}

/** One WebSocket to a server, from its handshake on. */
export class Connection {
  readonly #websocket: WebSocket;
  readonly #verb: Verb;
  readonly #handlers: ConnectionHandlers;
  #socket: Socket | undefined;
  #tap: PayloadTap | undefined;
  #isV2 = false;
  #isOver = false;
  readonly #control = new ControlReader();
  #error: Error | undefined;
  /** Of the handshake, or of the close that comes after the end. */
  #deadline: NodeJS.Timeout;
  #heartbeat: NodeJS.Timeout | undefined;
  readonly #stallTimeoutMs: number;
  /** Runs while a legacy server has something to take; begins anew when it takes some. */
  #stall: NodeJS.Timeout | undefined;
  /** How many messages the system has not taken. */
  #untaken = 0;
  /** Where the subprotocol is spoken. */
  #silence: Silence | undefined;

  /**
   * Starts the handshake.
   *
   * @throws {TypeError} for headers that cannot be sent, and for a proxy that is none
   */
  constructor(
    url: URL,
    verb: Verb,
    { headers, agent, ca, stallTimeoutMs = MAX_TIMER_MS }: ConnectionOptions,
    handlers: ConnectionHandlers,
  ) {
    this.#verb = verb;
    this.#stallTimeoutMs = Math.min(stallTimeoutMs, MAX_TIMER_MS);
    this.#handlers = handlers;
    const target = splitCredentials(url);
    const over = new AbortController();
    const websocket = new WebSocket(target.url, [SUBPROTOCOL], {
      agent: agent ?? proxyAgentFor(target.url, over.signal),
      ca,
      headers: {
        accept: 'application/problem+json, */*;q=0.5',
        'user-agent': `httpfstream/${VERSION}`,
        ...target.headers,
        ...headers,
        [VERB_HEADER]: verb,
      },
      perMessageDeflate: false,
      skipUTF8Validation: true,
      ...UNTYPED_OPTIONS,
    });
    this.#websocket = websocket;
    // Not that of ws, which a byte now and then puts off.
    const lateness = `the server has not answered within ${HANDSHAKE_TIMEOUT_MS / 1000} s`;
    this.#deadline = setTimeout(() => this.#giveUp(lateness), HANDSHAKE_TIMEOUT_MS);
    websocket.once('upgrade', (response) => this.#negotiated(response));
    websocket.once('open', () => this.#opened());
    websocket.once('unexpected-response', (_request, response) => {
      if (this.#isOver) return;
      this.#isOver = true;
      this.#stopTimers();
      handlers.onResponse(response);
    });
    websocket.on('error', (error) => {
      this.#error ??= this.#tap === undefined ? cannotConnect(error, target.url) : error;
    });
    websocket.once('close', () => {
      over.abort();
      this.#end(CloseCode.abnormal, '', false);
    });
  }

  /** Whether the server speaks the subprotocol. Known once it is open. */
  get isV2(): boolean {
    return this.#isV2;
  }

  /** Bytes that wait for the network. */
  get bufferedBytes(): number {
    return this.#websocket.bufferedAmount;
  }

  /** Sends a message, binary where the subprotocol is spoken: the original drops those. The bytes are copied. */
  send(bytes: Buffer, callback: () => void): void {
    // Why it failed is told by the end of the connection.
    this.#websocket.send(bytes, { binary: this.#isV2 }, (error) => {
      if (error) return;
      this.#taken();
      callback();
    });
    this.#untaken++;
    if (!this.#isV2) this.#startStall();
  }

  /** Begins to wait for the server to take something, or to answer the close. */
  #startStall(): void {
    const seconds = this.#stallTimeoutMs / 1000;
    this.#stall ??= setTimeout(
      () => this.#giveUp(`the server has taken nothing for ${seconds} s`),
      this.#stallTimeoutMs,
    );
  }

  /** The system has taken a message. */
  #taken(): void {
    this.#untaken--;
    if (this.#untaken > 0) {
      this.#stall?.refresh();
      return;
    }
    clearTimeout(this.#stall);
    this.#stall = undefined;
  }

  /** Lets the server wait. */
  pause(): void {
    this.#websocket.pause();
  }

  resume(): void {
    this.#websocket.resume();
  }

  /** Starts to end in order. The reason is for servers that speak the subprotocol. */
  close(code: number, reason = ''): void {
    this.#websocket.close(code, this.#isV2 ? reason : '');
    if (!this.#isV2 && this.#verb === 'APPEND') this.#startStall();
  }

  /** Waits for the close, which is all that is to come, for a second: its absence is no news. */
  awaitClose(): void {
    this.#websocket.resume();
    this.#deadline = setTimeout(() => {
      this.#websocket.close(CloseCode.finished);
      this.#end(CloseCode.abnormal, '', true);
    }, FAREWELL_MS);
  }

  /**
   * Lets go of it, at once or, when the close handshake was begun, within a
   * second; without keeping the process alive.
   */
  abandon(code?: number): void {
    this.#isOver = true;
    this.#stopTimers();
    const websocket = this.#websocket;
    if (websocket.readyState === WebSocket.OPEN && code !== undefined) websocket.close(code);
    // What is closing without having been open has nothing to wait for.
    if (websocket.readyState !== WebSocket.CLOSING || this.#tap === undefined) {
      websocket.terminate();
      return;
    }
    websocket.resume();
    this.#terminateSoon();
  }

  #stopTimers(): void {
    clearTimeout(this.#deadline);
    clearInterval(this.#heartbeat);
    clearTimeout(this.#stall);
  }

  /** Nothing depends on it any more. */
  #terminateSoon(): void {
    const websocket = this.#websocket;
    const timer = setTimeout(() => websocket.terminate(), FAREWELL_MS).unref();
    websocket.once('close', () => clearTimeout(timer));
  }

  /** The original's server knows no subprotocols, which ws takes for an error. */
  #negotiated(response: IncomingMessage): void {
    clearTimeout(this.#deadline);
    this.#socket = response.socket;
    this.#isV2 = response.headers['sec-websocket-protocol'] === SUBPROTOCOL;
    response.headers['sec-websocket-protocol'] ??= SUBPROTOCOL;
  }

  #opened(): void {
    const websocket = this.#websocket;
    const socket = this.#socket as Socket;
    socket.setKeepAlive(true, TCP_KEEP_ALIVE_MS);
    this.#tap = new PayloadTap(websocket, socket, {
      masked: false,
      // Nothing is held, so the original may send its whole history as one message.
      maxMessageBytes: Number.MAX_SAFE_INTEGER,
      onPayload: (bytes) => {
        if (this.#isOver) return;
        this.#control.assertNotEnded();
        this.#handlers.onPayload(bytes);
      },
      onText: this.#isV2 ? (text) => this.#takeText(text) : undefined,
      // The original's server does not read its followers: what lies unread when it closes resets the connection.
      answersPings: this.#isV2 || this.#verb === 'APPEND',
      onFramingError: (error) => {
        this.#error ??= error;
        this.#end(error.closeCode, error.message, false);
      },
      beforeClose: (code, reason) => this.#end(code, reason, this.#tap?.betweenMessages === true),
    });
    if (this.#isV2) this.#silence = new Silence(socket);
    this.#heartbeat = setInterval(() => this.#beat(), HEARTBEAT_MS).unref();
    this.#handlers.onOpen(this);
  }

  #takeText(text: string): void {
    if (this.#isOver) return;
    const message = this.#control.read(text);
    this.#silence?.greeted();
    this.#handlers.onMessage(message);
  }

  #beat(): void {
    const websocket = this.#websocket;
    if (this.#silence === undefined) {
      // The original cuts an appender of which it hears nothing for 25 s; what waits to be sent is a sign of life, too.
      const isIdle = this.#verb === 'APPEND' && websocket.bufferedAmount === 0;
      if (isIdle && websocket.readyState === WebSocket.OPEN) websocket.pong();
      return;
    }
    // Once it is closing, a server that has much to write before it answers pings by itself.
    if (websocket.readyState === WebSocket.OPEN) websocket.ping();
    const trouble = this.#silence.tick(websocket.isPaused);
    if (trouble !== undefined) this.#giveUp(trouble);
  }

  #giveUp(why: string): void {
    this.#error ??= new ConnectionError(why);
    this.#websocket.terminate();
  }

  #end(code: number, reason: string, isBetweenMessages: boolean): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#stopTimers();
    if (this.#websocket.readyState !== WebSocket.CLOSED) this.#terminateSoon();
    this.#handlers.onEnd({ code, reason, isBetweenMessages, error: this.#error });
  }
}
