import type { Socket } from 'node:net';
import { Writable } from 'node:stream';
import type { WebSocket } from 'ws';
import { StreamInterruptedError } from '../errors.ts';
import { CloseCode } from '../protocol.ts';
import { PayloadTap } from '../websocket/payload-tap.ts';
import { type ConnectOptions, connect, isCleanClose, TCP_KEEP_ALIVE_MS, terminateSoon } from './connect.ts';
import { destroyOnAbort } from './destroy-on-abort.ts';
import { refusalOf } from './refusal.ts';
import { targetUrl } from './target-url.ts';

/** Bytes that are buffered before `write` asks to wait; also the longest message. */
const HIGH_WATER_MARK_BYTES = 1024 * 1024;

/** The original cuts an appender of which it hears nothing for 25 s. */
const HEARTBEAT_MS = 10_000;

/** Options of {@link openAppend}. */
export interface AppendOptions extends ConnectOptions {
  /** Gives up when aborted: the append ends as interrupted and the stream is destroyed with the signal's reason. */
  signal?: AbortSignal;
}

/**
 * Opens a resource to append to it, and makes it if it is missing.
 *
 * The result is a Node writable; it emits `open` when the server has accepted,
 * and `finish` when the server has confirmed the end, which this project's
 * server does once every byte is in the file. To `destroy` it before that ends
 * the append as interrupted. Errors: {@link AppendConflictError} while another
 * appender holds the resource, {@link ForbiddenPathError},
 * {@link UnexpectedStatusError}, {@link ConnectionError}, {@link StreamInterruptedError}.
 *
 * @param url http, https, ws or wss URL of the resource
 * @throws {InvalidUrlError}
 */
export function openAppend(url: string | URL, options: AppendOptions = {}): Writable {
  return new AppendStream(targetUrl(url), options);
}

class AppendStream extends Writable {
  readonly #websocket: WebSocket | undefined;
  #isOpen = false;
  /** What to do when the connection is open. */
  #onOpen: (() => void) | undefined;
  /** The callback of `_final`. */
  #onEnd: (() => void) | undefined;
  /** The close frame was sent, after every byte. */
  #isClosing = false;
  #hasEnded = false;
  #heartbeat: NodeJS.Timeout | undefined;
  #connectionError: Error | undefined;

  constructor(url: URL, options: AppendOptions) {
    super({ highWaterMark: HIGH_WATER_MARK_BYTES });
    destroyOnAbort(this, options.signal);
    if (this.destroyed) return;
    const websocket = connect(url, 'APPEND', options, {
      onOpen: (socket) => this.#opened(websocket, socket),
      onResponse: (response) => void refusalOf(response).then((error) => this.destroy(error)),
      onError: (error) => this.destroy(error),
    });
    this.#websocket = websocket;
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error) => void): void {
    this.#whenOpen(() => this.#send(chunk, callback));
  }

  override _writev(chunks: { chunk: Buffer }[], callback: (error?: Error) => void): void {
    this.#whenOpen(() => this.#send(Buffer.concat(chunks.map(({ chunk }) => chunk)), callback));
  }

  override _final(callback: (error?: Error) => void): void {
    this.#whenOpen(() => {
      this.#onEnd = callback;
      this.#isClosing = true;
      this.#websocket?.close(CloseCode.finished);
    });
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    clearInterval(this.#heartbeat);
    if (this.#isOpen) {
      // A bare close would be a clean end.
      this.#websocket?.close(CloseCode.goingAway);
      terminateSoon(this.#websocket);
    } else {
      this.#websocket?.terminate();
    }
    callback(error);
  }

  #opened(websocket: WebSocket, socket: Socket): void {
    this.#isOpen = true;
    socket.setKeepAlive(true, TCP_KEEP_ALIVE_MS);
    new PayloadTap(websocket, socket, {
      masked: false,
      maxMessageBytes: Number.MAX_SAFE_INTEGER,
      // A server has nothing to say to an appender but how it ends.
      onPayload: () => {},
      onFramingError: (error) => this.destroy(error),
      beforeClose: (code, reason) => this.#ended(code, reason),
    });
    websocket.on('error', (error) => {
      this.#connectionError = error;
    });
    websocket.once('close', () => this.#ended(CloseCode.abnormal, ''));
    this.#heartbeat = setInterval(() => websocket.pong(), HEARTBEAT_MS).unref();
    this.emit('open');
    this.#onOpen?.();
  }

  #whenOpen(action: () => void): void {
    if (this.#isOpen) action();
    else this.#onOpen = action;
  }

  /** Sends text messages, whatever the bytes are: the original drops binary ones. */
  #send(bytes: Buffer, callback: (error?: Error) => void): void {
    const message = bytes.subarray(0, HIGH_WATER_MARK_BYTES);
    const rest = bytes.subarray(HIGH_WATER_MARK_BYTES);
    this.#websocket?.send(message, { binary: false }, (error) => {
      // Why it failed is told when the connection has closed, which destroys the stream.
      if (error) return;
      if (rest.length > 0) this.#send(rest, callback);
      else callback();
    });
  }

  #ended(code: number, reason: string): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    clearInterval(this.#heartbeat);
    const isEnd = this.#isClosing && isCleanClose(code);
    const error = isEnd ? undefined : interrupted(code, reason, this.#connectionError);
    if (error) this.destroy(error);
    else this.#onEnd?.();
  }
}

function interrupted(code: number, reason: string, cause: Error | undefined): StreamInterruptedError {
  const text =
    code === CloseCode.abnormal
      ? 'the connection broke before the server confirmed the end'
      : `the server ended the append (close code ${code}${reason === '' ? '' : `: ${reason}`})`;
  return new StreamInterruptedError(text, code, { cause });
}
