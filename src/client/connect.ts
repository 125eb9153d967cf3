import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import WebSocket from 'ws';
import { ConnectionError } from '../errors.ts';
import { CloseCode, VERB_HEADER, type Verb } from '../protocol.ts';

/** Time for the server to answer the handshake. */
const HANDSHAKE_TIMEOUT_MS = 30_000;

/** Time for the server to answer a close frame: it may have much to write before that. */
const CLOSE_TIMEOUT_MS = 300_000;

/** Quiet time after which TCP starts to probe whether the server's machine is still there. */
export const TCP_KEEP_ALIVE_MS = 30_000;

/** Time that a connection may take to close when nothing depends on it any more. */
const FAREWELL_MS = 1000;

// Not in ws's types yet.
const UNTYPED_OPTIONS = { closeTimeout: CLOSE_TIMEOUT_MS };

/** What every connection to a server can be given. */
export interface ConnectOptions {
  /** Extra request headers, `authorization` for instance. */
  headers?: Readonly<Record<string, string>>;
}

/** How a handshake can go; exactly one is called. */
export interface ConnectHandlers {
  /** The WebSocket is open. Called in the turn in which it opened, before any data. */
  onOpen: (socket: Socket) => void;
  /** The server answered without upgrading. */
  onResponse: (response: IncomingMessage) => void;
  onError: (error: ConnectionError) => void;
}

/** Starts a WebSocket handshake with a verb. `terminate()` the result to give up at any time. */
export function connect(url: URL, verb: Verb, options: ConnectOptions, handlers: ConnectHandlers): WebSocket {
  const websocket = new WebSocket(url, {
    headers: { accept: 'application/problem+json, */*;q=0.5', ...options.headers, [VERB_HEADER]: verb },
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    perMessageDeflate: false,
    skipUTF8Validation: true,
    ...UNTYPED_OPTIONS,
  });
  let socket: Socket | undefined;
  let settled = false;
  websocket.once('upgrade', (response) => {
    socket = response.socket;
  });
  websocket.once('open', () => {
    settled = true;
    handlers.onOpen(socket as Socket);
  });
  websocket.once('unexpected-response', (_request, response) => {
    settled = true;
    handlers.onResponse(response);
  });
  // Errors after the handshake are followed by 'close', where they are dealt with.
  websocket.on('error', (cause) => {
    if (settled) return;
    settled = true;
    // An address that was tried in several ways fails with an error that says nothing but its code.
    const message = cause.message || String((cause as NodeJS.ErrnoException).code);
    handlers.onError(new ConnectionError(message, { cause }));
  });
  return websocket;
}

/** Whether a close frame with this code says that all is well. */
export function isCleanClose(code: number): boolean {
  return code === CloseCode.finished || code === CloseCode.none;
}

/** Lets the close handshake come to its end, but not for long, and without keeping the process alive. */
export function terminateSoon(websocket: WebSocket | undefined): void {
  if (websocket === undefined || websocket.readyState === WebSocket.CLOSED) return;
  const timer = setTimeout(() => websocket.terminate(), FAREWELL_MS).unref();
  websocket.once('close', () => clearTimeout(timer));
}
