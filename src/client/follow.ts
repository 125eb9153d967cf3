import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { Readable } from 'node:stream';
import type { WebSocket } from 'ws';
import { StreamInterruptedError } from '../errors.ts';
import { CloseCode } from '../protocol.ts';
import { PayloadTap } from '../websocket/payload-tap.ts';
import { type ConnectOptions, connect, isCleanClose, TCP_KEEP_ALIVE_MS, terminateSoon } from './connect.ts';
import { destroyOnAbort } from './destroy-on-abort.ts';
import { refusalOf } from './refusal.ts';
import { targetUrl } from './target-url.ts';

const HIGH_WATER_MARK_BYTES = 1024 * 1024;

/** Options of {@link follow}. */
export interface FollowOptions extends ConnectOptions {
  /** Gives up when aborted: the stream is destroyed with the signal's reason. */
  signal?: AbortSignal;
}

/**
 * Follows a resource: everything that was written, then what is being written,
 * until its appender ends. An idle resource is read as it is.
 *
 * The result is a Node readable of bytes and an async iterable of Buffers. It
 * emits `open` when the server has accepted, ends only when the stream ended
 * cleanly, and errors otherwise: {@link ResourceNotFoundError},
 * {@link UnexpectedStatusError}, {@link ConnectionError}, {@link StreamInterruptedError}.
 *
 * @param url http, https, ws or wss URL of the resource
 * @throws {InvalidUrlError}
 */
export function follow(url: string | URL, options: FollowOptions = {}): Readable {
  return new FollowStream(targetUrl(url), options);
}

class FollowStream extends Readable {
  readonly #websocket: WebSocket | undefined;
  /** Where the bytes come from once the server has accepted. */
  #source: { pause(): void; resume(): void } | undefined;
  #hasCloseFrame = false;

  constructor(url: URL, options: FollowOptions) {
    super({ highWaterMark: HIGH_WATER_MARK_BYTES });
    destroyOnAbort(this, options.signal);
    if (this.destroyed) return;
    const websocket = connect(url, 'FOLLOW', options, {
      onOpen: (socket) => this.#takeMessages(websocket, socket),
      onResponse: (response) => {
        if (response.statusCode === 200) this.#takeBody(response);
        else void refusalOf(response).then((error) => this.destroy(error));
      },
      onError: (error) => this.destroy(error),
    });
    this.#websocket = websocket;
  }

  override _read(): void {
    this.#source?.resume();
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    if (this.#hasCloseFrame) terminateSoon(this.#websocket);
    else this.#websocket?.terminate();
    callback(error);
  }

  #takeMessages(websocket: WebSocket, socket: Socket): void {
    this.#source = websocket;
    socket.setKeepAlive(true, TCP_KEEP_ALIVE_MS);
    const tap = new PayloadTap(websocket, socket, {
      masked: false,
      // Nothing is held, so the original may send its whole history as one message.
      maxMessageBytes: Number.MAX_SAFE_INTEGER,
      onPayload: (bytes) => this.#take(bytes),
      onFramingError: (error) => this.destroy(error),
      beforeClose: (code, reason) => {
        this.#hasCloseFrame = true;
        if (isCleanClose(code) && tap.betweenMessages) this.push(null);
        else this.destroy(interrupted(code, reason));
      },
    });
    websocket.once('close', () => {
      if (!this.#hasCloseFrame) this.destroy(interrupted(CloseCode.abnormal, ''));
    });
    this.emit('open');
  }

  /** An idle resource: the server answers the handshake with the file. */
  #takeBody(response: IncomingMessage): void {
    this.#source = response;
    // The time limit of the handshake; whoever reads may take as long as it likes.
    response.socket.setTimeout(0);
    response.on('data', (bytes: Buffer) => this.#take(bytes));
    response.once('end', () => this.push(null));
    response.once('error', (cause) => {
      this.destroy(new StreamInterruptedError('the connection broke', CloseCode.abnormal, { cause }));
    });
    this.emit('open');
  }

  #take(bytes: Buffer): void {
    if (!this.push(bytes)) this.#source?.pause();
  }
}

function interrupted(code: number, reason: string): StreamInterruptedError {
  if (code === CloseCode.abnormal) {
    return new StreamInterruptedError('the connection broke before the end of the stream', code);
  }
  const text = reason === '' ? '' : `: ${reason}`;
  return new StreamInterruptedError(`the stream was interrupted (close code ${code}${text})`, code);
}
