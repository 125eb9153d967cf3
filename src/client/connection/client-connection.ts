import type { IncomingMessage } from 'node:http';
import { createRequire } from 'node:module';
import type { Socket } from 'node:net';
import path from 'node:path';
import ImportedWebSocket from 'ws';
import { proxyAgentFor } from '../../http/node/proxy-agent.ts';
import { ConnectionError } from '../../wire/errors.ts';
import { PayloadTap } from '../../wire/payload-tap.ts';
import {
  CloseCode,
  HEARTBEAT_MS,
  SUBPROTOCOL,
  TCP_KEEP_ALIVE_MS,
  type TypeMessage,
  VERB_HEADER,
  type Verb,
} from '../../wire/protocol.ts';
import { VERSION } from '../../wire/version.ts';
import { refusalOf } from '../refusal.ts';
import type { Connection, ConnectionHandlers } from '../session/connection.ts';
import { ControlReader } from '../session/control-message.ts';
import { MAX_TIMER_MS } from '../session/session-options.ts';
import { interrupted } from '../session/stream-failure.ts';
import { splitCredentials } from '../session/target-url.ts';
import { Watchdog } from '../session/watchdog.ts';
import type { RequestHeaders, StreamOptions } from '../stream-options.ts';
import { bodyEndOf } from './body-end.ts';
import { cannotConnect } from './cannot-connect.ts';

/** Time limit for the server to answer the handshake. */
const HANDSHAKE_TIMEOUT_MS = 30_000;

/** Time limit for the server to answer a close frame: it may have much to write first. */
const CLOSE_TIMEOUT_MS = 300_000;

/** Time limit for a connection to close when nothing depends on it any more. */
const LAST_CLOSE_MS = 1000;

/** The end of a body that is whole. */
const CLEAN_END = { code: CloseCode.finished, reason: '', isBetweenMessages: true, error: undefined };

// Not in ws's types yet.
const UNTYPED_OPTIONS = { closeTimeout: CLOSE_TIMEOUT_MS };

/**
 * The WebSocket of `ws`, whatever the runtime is. Bun replaces that package by one
 * whose socket cannot be read; the path leads to the package itself.
 */
const WebSocket: typeof ImportedWebSocket =
  'bun' in process.versions ? packagedWebSocket() : ImportedWebSocket;
type WebSocket = ImportedWebSocket;

function packagedWebSocket(): typeof ImportedWebSocket {
  const require = createRequire(import.meta.url);
  return require(path.join(path.dirname(require.resolve('ws/package.json')), 'index.js'));
}

export interface ConnectionOptions extends Pick<StreamOptions, 'agent' | 'ca'> {
  headers: RequestHeaders;
  /**
   * How long a legacy server may accept none of what it is sent, in milliseconds;
   * others show by their pongs that they are alive. Default: no limit.
   */
  stallTimeoutMs?: number;
}

/** A WebSocket of `ws`, from its handshake on. */
export class ClientConnection implements Connection {
  readonly #websocket: WebSocket;
  readonly #verb: Verb;
  readonly #handlers: ConnectionHandlers;
  #socket: Socket | undefined;
  #tap: PayloadTap | undefined;
  #isV2 = false;
  /** What the server has answered in place of an upgrade, if it is what a follower wants. */
  #body: IncomingMessage | undefined;
  /** Whether no event of the WebSocket is told any more. */
  #isOver = false;
  #isAbandoned = false;
  readonly #control = new ControlReader();
  #error: Error | undefined;
  /** Time limit of the handshake, and later of the close after the end. */
  #deadline: NodeJS.Timeout;
  #heartbeat: NodeJS.Timeout | undefined;
  readonly #stallTimeoutMs: number;
  /** Runs while a legacy server has something to accept; restarts when it accepts some of it. */
  #stall: NodeJS.Timeout | undefined;
  /** How many messages the system has not accepted yet. */
  #unsentMessages = 0;
  /** Only if the server speaks the subprotocol. */
  #watchdog: Watchdog | undefined;

  /**
   * Starts the handshake.
   *
   * @throws {TypeError} for headers that cannot be sent, and for a proxy URL that is not http or https
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
    // Not ws's own time limit, which a server can postpone by sending a byte now and then.
    const lateness = `the server has not answered within ${HANDSHAKE_TIMEOUT_MS / 1000} s`;
    this.#deadline = setTimeout(() => this.#giveUp(lateness), HANDSHAKE_TIMEOUT_MS);
    websocket.once('upgrade', (response) => this.#negotiated(response));
    websocket.once('open', () => this.#opened());
    websocket.once('unexpected-response', (_request, response) => {
      if (this.#isOver) return;
      this.#isOver = true;
      this.#stopTimers();
      if (response.statusCode === 200 && handlers.takesBody) this.#readBody(response);
      else void this.#refused(response);
    });
    websocket.on('error', (error) => {
      this.#error ??= this.#tap === undefined ? cannotConnect(error, target.url) : error;
    });
    websocket.once('close', () => {
      over.abort();
      this.#end(CloseCode.abnormal, '', false);
    });
  }

  get isV2(): boolean {
    return this.#isV2;
  }

  get bufferedBytes(): number {
    return this.#websocket.bufferedAmount;
  }

  /**
   * Sends a message: a binary one to a server that speaks the subprotocol, a text one to others, since
   * the original drops binary ones. Calls back when the system has accepted it.
   */
  send(bytes: Uint8Array, callback: () => void): void {
    // Why it failed is reported by the end of the connection.
    this.#websocket.send(bytes, { binary: this.#isV2 }, (error) => {
      if (error) return;
      this.#accepted();
      callback();
    });
    this.#unsentMessages++;
    if (!this.#isV2) this.#startStall();
  }

  tell(message: TypeMessage): void {
    this.#websocket.send(JSON.stringify(message));
  }

  /** Starts the time limit for the server to accept something, or to answer the close. */
  #startStall(): void {
    const seconds = this.#stallTimeoutMs / 1000;
    this.#stall ??= setTimeout(
      () => this.#giveUp(`the server has taken nothing for ${seconds} s`),
      this.#stallTimeoutMs,
    );
  }

  #accepted(): void {
    this.#unsentMessages--;
    if (this.#unsentMessages > 0) {
      this.#stall?.refresh();
      return;
    }
    clearTimeout(this.#stall);
    this.#stall = undefined;
  }

  pause(): void {
    (this.#body ?? this.#websocket).pause();
  }

  resume(): void {
    (this.#body ?? this.#websocket).resume();
  }

  close(code: number, reason = ''): void {
    this.#websocket.close(code, this.#isV2 ? reason : '');
    if (!this.#isV2 && this.#verb === 'APPEND') this.#startStall();
  }

  awaitClose(): void {
    this.#websocket.resume();
    this.#deadline = setTimeout(() => {
      this.#websocket.close(CloseCode.finished);
      this.#end(CloseCode.abnormal, '', true);
    }, LAST_CLOSE_MS);
  }

  /** Ends at once or, if the close handshake has begun, within a second, without keeping the process alive. */
  abandon(code?: number): void {
    this.#isOver = true;
    this.#isAbandoned = true;
    this.#stopTimers();
    this.#body?.destroy();
    const websocket = this.#websocket;
    if (websocket.readyState === WebSocket.OPEN && code !== undefined) websocket.close(code);
    // A connection that is closing before it was open has nothing to wait for.
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

  #terminateSoon(): void {
    const websocket = this.#websocket;
    const timer = setTimeout(() => websocket.terminate(), LAST_CLOSE_MS).unref();
    websocket.once('close', () => clearTimeout(timer));
  }

  async #refused(response: IncomingMessage): Promise<void> {
    const error = await refusalOf(response);
    if (!this.#isAbandoned) this.#handlers.onRefused({ status: response.statusCode ?? 0, error });
  }

  #readBody(response: IncomingMessage): void {
    this.#body = response;
    this.#handlers.onOpen(this);
    if (this.#isAbandoned) return;
    // Ends the time limit of the handshake: the reader may take as long as it likes.
    response.socket.setTimeout(0);
    // Nothing is sent on this connection, so without probes a server that is gone would not be noticed.
    response.socket.setKeepAlive(true, TCP_KEEP_ALIVE_MS);
    response.on('data', (bytes) => this.#handlers.onPayload(bytes));
    response.once('end', () => this.#bodyEnded(response));
    response.once('error', (cause) => this.#bodyBroke(interrupted('the connection broke', cause)));
  }

  #bodyEnded(response: IncomingMessage): void {
    const end = bodyEndOf(response);
    if (end === 'unknown') {
      this.#bodyBroke(interrupted('the connection was closed, and nothing says that this was the end'));
    } else if (!this.#isAbandoned) {
      const isPresumed = end === 'presumed' ? { isPresumed: true as const } : {};
      this.#handlers.onEnd({ ...CLEAN_END, ...isPresumed });
    }
  }

  #bodyBroke(error: Error): void {
    if (!this.#isAbandoned) this.#handlers.onEnd({ ...CLEAN_END, code: CloseCode.abnormal, error });
  }

  #negotiated(response: IncomingMessage): void {
    clearTimeout(this.#deadline);
    this.#socket = response.socket;
    this.#isV2 = response.headers['sec-websocket-protocol'] === SUBPROTOCOL;
    // The original's server answers without a subprotocol, which ws takes for an error.
    response.headers['sec-websocket-protocol'] ??= SUBPROTOCOL;
  }

  #opened(): void {
    const websocket = this.#websocket;
    const socket = this.#socket as Socket;
    socket.setKeepAlive(true, TCP_KEEP_ALIVE_MS);
    this.#tap = new PayloadTap(websocket, socket, {
      masked: false,
      // Nothing is buffered, and the original may send its whole history as one message.
      maxMessageBytes: Number.MAX_SAFE_INTEGER,
      onPayload: (bytes) => {
        if (this.#isOver) return;
        this.#control.assertNotEnded();
        this.#handlers.onPayload(bytes);
      },
      onText: this.#isV2 ? (text) => this.#receiveText(text) : undefined,
      // The original's server does not read from its followers: unread bytes would reset the connection when it closes.
      answersPings: this.#isV2 || this.#verb === 'APPEND',
      onFramingError: (error) => {
        this.#error ??= error;
        this.#end(error.closeCode, error.message, false);
      },
      beforeClose: (code, reason) => this.#end(code, reason, this.#tap?.betweenMessages === true),
    });
    if (this.#isV2) this.#watchdog = new Watchdog(socket);
    this.#heartbeat = setInterval(() => this.#beat(), HEARTBEAT_MS).unref();
    this.#handlers.onOpen(this);
  }

  #receiveText(text: string): void {
    if (this.#isOver) return;
    const message = this.#control.read(text);
    this.#watchdog?.messageArrived();
    this.#handlers.onMessage(message);
  }

  #beat(): void {
    const websocket = this.#websocket;
    if (this.#watchdog === undefined) {
      // The original cuts an appender that is silent for 25 s; bytes that wait to be sent count as a sign of life.
      const isIdle = this.#verb === 'APPEND' && websocket.bufferedAmount === 0;
      if (isIdle && websocket.readyState === WebSocket.OPEN) websocket.pong();
      return;
    }
    // While the connection is closing, a server that still has much to write sends pings of its own.
    if (websocket.readyState === WebSocket.OPEN) websocket.ping();
    const trouble = this.#watchdog.tick(websocket.isPaused);
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
