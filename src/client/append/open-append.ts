import { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { connectorOf } from '../connection/connector.ts';
import type { AppendResult } from '../session/append-request.ts';
import { AppendSession } from '../session/append-session.ts';
import { assertInteger } from '../session/session-options.ts';
import { interrupted } from '../session/stream-failure.ts';
import { targetUrl } from '../session/target-url.ts';
import { destroyOnAbort } from '../stream-options.ts';
import type { AppendOptions, AppendStream } from './append-options.ts';

const DEFAULT_STALL_TIMEOUT_MS = 30_000;

/**
 * Opens a resource to append to it, and creates it if it is missing.
 *
 * The result is a Node writable; it emits `open` when the server has accepted,
 * and `finish` when the server has confirmed the end. When its connection
 * breaks, it reconnects and sends exactly the bytes that had not arrived.
 * Calling `destroy` before the end ends the append as interrupted.
 * Errors: {@link AppendConflictError} while another appender holds the
 * resource, {@link PositionMismatchError}, {@link ForbiddenPathError},
 * {@link StreamClosedError}, {@link UnauthorizedError}, {@link ForbiddenRightError},
 * {@link UnexpectedStatusError}, {@link ConnectionError}
 * when the first connection fails, {@link ConnectionLostError} when no new one
 * could be made, {@link ProtocolError} when the server violated the protocol,
 * {@link StreamInterruptedError} when it would not resume,
 * {@link ResourceGoneError} and {@link StreamTruncatedError} when the file was
 * deleted or cut in the meantime.
 *
 * A legacy server acknowledges nothing but the end, so that with it a broken
 * connection is an error.
 *
 * @param url http, https, ws or wss URL of the resource
 * @throws {InvalidUrlError}
 * @throws {TypeError} for invalid options
 */
export function openAppend(url: string | URL, options: AppendOptions = {}): AppendStream {
  return new ResumingAppend(targetUrl(url), options);
}

class ResumingAppend extends Writable implements AppendStream {
  readonly #session: AppendSession;
  /** The callback of `_final`. */
  #onFinished: (() => void) | undefined;
  #isConfirmed = false;

  constructor(url: URL, options: AppendOptions) {
    super({ decodeStrings: true });
    assertInteger('stallTimeoutMs', options.stallTimeoutMs, 1);
    const connector = connectorOf({ stallTimeoutMs: DEFAULT_STALL_TIMEOUT_MS, ...options });
    const session = new AppendSession(url, options, connector, {
      onOpen: () => this.emit('open'),
      onConfirmed: () => {
        this.#isConfirmed = true;
        this.#onFinished?.();
      },
      onFail: (error) => this.destroy(error),
    });
    this.#session = session;
    destroyOnAbort(this, options.signal);
    if (!this.destroyed) session.connect();
  }

  get startPosition(): number | undefined {
    return this.#session.startPosition;
  }

  get contentType(): string | null | undefined {
    return this.#session.contentType;
  }

  get acknowledgedBytes(): number {
    return this.#session.acknowledgedBytes;
  }

  async close(): Promise<AppendResult> {
    this.end();
    await finished(this);
    // For Node, a stream that was destroyed has finished if all its bytes had been accepted.
    if (!this.#isConfirmed) throw interrupted('the append was destroyed');
    return this.#session.result;
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error) => void): void {
    this.#session.write([chunk], callback);
  }

  override _writev(chunks: { chunk: Buffer }[], callback: (error?: Error) => void): void {
    this.#session.write(
      chunks.map(({ chunk }) => chunk),
      callback,
    );
  }

  override _final(callback: (error?: Error) => void): void {
    this.#onFinished = callback;
    this.#session.end();
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    // Node calls back only for the writes that it still buffers.
    this.#session.abandon(error ?? undefined);
    callback(error);
  }
}
