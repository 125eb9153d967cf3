import { Writable } from 'node:stream';
import type { WebSocket } from 'ws';
import { StreamInterruptedError } from '../errors.ts';
import { CloseCode } from '../protocol.ts';
import { type ConnectOptions, connect } from './connect.ts';
import { destroyOnAbort } from './destroy-on-abort.ts';
import { refusalOf } from './refusal.ts';
import { targetUrl } from './target-url.ts';

/** Bytes that are buffered before `write` asks to wait; also the longest message. */
const HIGH_WATER_MARK_BYTES = 1024 * 1024;

/** The original cuts an appender of which it hears nothing for 25 s. */
const HEARTBEAT_MS = 10_000;

/** Time to tell the server that an append was given up. */
const FAREWELL_MS = 1000;

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
  readonly #url: URL;
  readonly #options: AppendOptions;
  #websocket: WebSocket | undefined;
  #heartbeat: NodeJS.Timeout | undefined;
  #onClosed: ((error?: Error) => void) | undefined;
  #connectionError: Error | undefined;

  constructor(url: URL, options: AppendOptions) {
    super({ highWaterMark: HIGH_WATER_MARK_BYTES });
    this.#url = url;
    this.#options = options;
    destroyOnAbort(this, options.signal);
  }

  override _construct(callback: (error?: Error) => void): void {
    const websocket = connect(this.#url, 'APPEND', this.#options, {
      onOpen: () => {
        websocket.on('error', (error) => {
          this.#connectionError = error;
        });
        websocket.once('close', (code, reason) => this.#closed(code, reason.toString()));
        this.#heartbeat = setInterval(() => websocket.pong(), HEARTBEAT_MS).unref();
        callback();
        this.emit('open');
      },
      onResponse: async (response) => {
        callback(await refusalOf(response));
        websocket.terminate();
      },
      onError: callback,
    });
    this.#websocket = websocket;
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error) => void): void {
    this.#send(chunk, callback);
  }

  override _writev(chunks: { chunk: Buffer }[], callback: (error?: Error) => void): void {
    this.#send(Buffer.concat(chunks.map(({ chunk }) => chunk)), callback);
  }

  override _final(callback: (error?: Error) => void): void {
    this.#onClosed = callback;
    this.#websocket?.close(CloseCode.finished);
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    clearInterval(this.#heartbeat);
    const websocket = this.#websocket;
    if (websocket?.readyState === websocket?.OPEN) {
      // A bare close would be a clean end.
      websocket?.close(CloseCode.goingAway);
      setTimeout(() => websocket?.terminate(), FAREWELL_MS).unref();
    } else {
      websocket?.terminate();
    }
    callback(error);
  }

  /** Sends text messages, whatever the bytes are: the original drops binary ones. */
  #send(bytes: Buffer, callback: (error?: Error) => void): void {
    const websocket = this.#websocket as WebSocket;
    const message = bytes.subarray(0, HIGH_WATER_MARK_BYTES);
    const rest = bytes.subarray(HIGH_WATER_MARK_BYTES);
    websocket.send(message, { binary: false }, (error) => {
      // The reason is known, and told, when the connection has closed.
      if (error) this.#onClosed = callback;
      else if (rest.length > 0) this.#send(rest, callback);
      else callback();
    });
  }

  #closed(code: number, reason: string): void {
    clearInterval(this.#heartbeat);
    const isEnd = this.writableEnded && (code === CloseCode.finished || code === CloseCode.none);
    const error = isEnd ? undefined : this.#interrupted(code, reason);
    if (this.#onClosed) this.#onClosed(error);
    else if (error) this.destroy(error);
  }

  #interrupted(code: number, reason: string): StreamInterruptedError {
    const text =
      code === CloseCode.abnormal
        ? 'the connection broke before the server confirmed the end'
        : `the server ended the append (close code ${code}${reason === '' ? '' : `: ${reason}`})`;
    return new StreamInterruptedError(text, code, { cause: this.#connectionError });
  }
}
