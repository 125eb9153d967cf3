import { randomBytes } from 'node:crypto';
import { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import {
  ForbiddenRightError,
  type HttpfstreamError,
  ProtocolError,
  RepeatedRequestError,
  ResourceGoneError,
  StreamClosedError,
  StreamInterruptedError,
  StreamTruncatedError,
  UnauthorizedError,
} from '../../wire/errors.ts';
import {
  CloseCode,
  type ControlMessage,
  closeReasonOf,
  type EndMessage,
  isStatus,
  type OpenMessage,
  QueryName,
} from '../../wire/protocol.ts';
import { connectorOf } from '../connection/connector.ts';
import type { Connect, Connection, ConnectionEnd, Connector, Refusal } from '../session/connection.ts';
import { Reconnector } from '../session/reconnector.ts';
import { isTransient } from '../session/refusal.ts';
import { PendingWrites, ResendBuffer } from '../session/resend-buffer.ts';
import { withValue } from '../session/session-options.ts';
import {
  connectionError,
  failureOfClose,
  failureOfEnd,
  failureOfRetry,
  failureOfToken,
  interrupted,
  isRefusal,
} from '../session/stream-failure.ts';
import { targetUrl } from '../session/target-url.ts';
import { destroyOnAbort } from '../stream-options.ts';
import {
  type AppendOptions,
  type AppendResult,
  type AppendStream,
  assertAppendOptions,
  currentContentType,
} from './append-options.ts';

const DEFAULT_BUFFER_BYTES = 8 * 1024 * 1024;

const DEFAULT_STALL_TIMEOUT_MS = 30_000;

/**
 * How much a server is sent at a time: the longest message, and how many bytes may wait to be sent before no more are
 * added.
 */
const LIMITS = { messageBytes: 256 * 1024, maxUnsentBytes: 1024 * 1024 };

/**
 * The original's followers read only the first frame of each message that their server passes on: one of this length
 * fits into it. Few bytes wait to be sent, so that a slow network is not taken for a server that has stalled.
 */
const LEGACY_LIMITS = { messageBytes: 10_240, maxUnsentBytes: 64 * 1024 };

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
  readonly #url: URL;
  readonly #options: AppendOptions;
  readonly #connector: Connector;
  readonly #buffer: ResendBuffer;
  readonly #reconnector: Reconnector;
  readonly #session = randomBytes(18).toString('base64url');
  #connection: Connection | undefined;
  #start: number | undefined;
  #generation: number | undefined;
  /** Whether bytes may be sent. */
  #isOpen = false;
  #wasOpen = false;
  #isLegacy = false;
  /** That of the file; null when the server would take one. */
  #fileType: string | null | undefined;
  /** Whether nothing has come yet, so that it still takes one. */
  #takesType = false;
  /** How many bytes of this append were sent. */
  #sent = 0;
  readonly #pending = new PendingWrites();
  /** The callback of `_final`. */
  #onFinished: (() => void) | undefined;
  #closeReason = '';
  #isClosing = false;
  #isConfirmed = false;
  #acknowledgedBytes = 0;
  /** How often it has tried to connect. */
  #attempts = 0;

  constructor(url: URL, options: AppendOptions) {
    super({ decodeStrings: true });
    const { bufferBytes = DEFAULT_BUFFER_BYTES } = options;
    assertAppendOptions(options);
    this.#url = url;
    this.#options = options;
    this.#connector = connectorOf({ stallTimeoutMs: DEFAULT_STALL_TIMEOUT_MS, ...options });
    this.#buffer = new ResendBuffer(bufferBytes);
    this.#reconnector = new Reconnector(options, (error) => this.destroy(error));
    destroyOnAbort(this, options.signal);
    if (!this.destroyed) this.#connect();
  }

  get startPosition(): number | undefined {
    return this.#start;
  }

  get contentType(): string | null | undefined {
    return this.#fileType;
  }

  get acknowledgedBytes(): number {
    return this.#acknowledgedBytes;
  }

  async close(): Promise<AppendResult> {
    this.end();
    await finished(this);
    // For Node, a stream that was destroyed has finished if all its bytes had been accepted.
    if (!this.#isConfirmed) throw interrupted('the append was destroyed');
    const bytes = this.#acknowledgedBytes;
    const position = this.#start === undefined ? undefined : this.#start + bytes;
    return { position, bytes, generation: this.#generation };
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error) => void): void {
    this.#pending.set([chunk], callback);
    this.#accept();
  }

  override _writev(chunks: { chunk: Buffer }[], callback: (error?: Error) => void): void {
    const bytes = chunks.map(({ chunk }) => chunk);
    this.#pending.set(bytes, callback);
    this.#accept();
  }

  override _final(callback: (error?: Error) => void): void {
    statusOf(this.#options).then((status) => {
      this.#closeReason = closeReasonOf(status);
      this.#onFinished = callback;
      this.#finishIfDone();
    }, callback);
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#reconnector.cancel();
    this.#isOpen = false;
    // A bare close would be a clean end for a legacy server.
    this.#connection?.abandon(CloseCode.goingAway);
    this.#buffer.clear();
    // Node calls back only for the writes that it still buffers.
    this.#pending.settle(error ?? interrupted('the append was destroyed'));
    callback(error);
  }

  #connect(): void {
    const url = new URL(this.#url);
    const query = url.searchParams;
    query.set(QueryName.session, this.#session);
    query.set(QueryName.attempt, String(this.#attempts++));
    const expect = this.#start ?? this.#options.expect;
    if (expect !== undefined) query.set(QueryName.expect, String(expect));
    if (this.#generation !== undefined) query.set(QueryName.generation, String(this.#generation));
    const contentType = this.#contentType();
    if (contentType !== undefined) query.set(QueryName.contentType, contentType);
    if (this.destroyed) return;
    this.#isClosing = false;
    withValue(
      this.#connector(),
      (connect) => this.#startHandshake(connect, url),
      (error) => this.destroy(error),
    );
  }

  #startHandshake(connect: Connect, url: URL): void {
    if (this.destroyed) return;
    this.#connection = connect(url, 'APPEND', {
      onOpen: (connection) => {
        this.#reconnector.opened();
        if (!connection.isV2) this.#openedLegacy();
      },
      onRefused: (refusal) => this.#refused(refusal),
      // A server sends an appender nothing but control messages.
      onPayload: () => {},
      onMessage: (message) => this.#handle(message),
      onEnd: (end) => this.#disconnected(end),
    });
  }

  #handle(message: ControlMessage): void {
    if (message.type === 'open') this.#opened(message);
    else if (message.type === 'ack') this.#acknowledged(message.position);
    else if (message.type === 'end') this.#ended(message);
  }

  #opened({ generation, position, contentType }: OpenMessage): void {
    this.#start ??= position;
    this.#fileType = contentType;
    this.#takesType = contentType === null && position === 0;
    this.#generation ??= generation;
    const arrived = position - this.#start;
    const isUnexpected = generation !== this.#generation || this.#isOpen;
    if (arrived < this.#buffer.start || arrived > this.#sent || isUnexpected) {
      this.destroy(new ProtocolError(`the server has ${arrived} bytes of this append, which cannot be`));
      return;
    }
    this.#sent = arrived;
    this.#reconnector.resumed();
    if (!this.destroyed) this.#begin();
  }

  #openedLegacy(): void {
    if (this.#wasOpen) {
      this.destroy(interrupted('the server no longer speaks the protocol that resuming needs'));
      return;
    }
    this.#isLegacy = true;
    this.#begin();
  }

  #begin(): void {
    this.#isOpen = true;
    if (!this.#wasOpen) {
      this.#wasOpen = true;
      this.emit('open');
    }
    this.#send();
    this.#finishIfDone();
  }

  #acknowledged(position: number): void {
    const acknowledged = position - (this.#start ?? 0);
    if (acknowledged > this.#sent) {
      this.destroy(new ProtocolError('the server acknowledges bytes that were not sent'));
      return;
    }
    if (acknowledged <= this.#buffer.start) return;
    this.#reconnector.progressed();
    this.#acknowledgedBytes = acknowledged;
    this.#buffer.release(acknowledged);
    if (this.#callOnAck(acknowledged)) this.#released();
  }

  /** Returns whether the stream is still alive: what the caller's function throws destroys it. */
  #callOnAck(bytes: number): boolean {
    try {
      this.#options.onAck?.(bytes);
    } catch (error) {
      this.destroy(error as Error);
    }
    return !this.destroyed;
  }

  /** The buffer has room again. */
  #released(): void {
    this.#accept();
    this.#finishIfDone();
  }

  #accept(): void {
    const isAccepted = this.#pending.moveTo(this.#buffer);
    this.#send();
    if (isAccepted) this.#pending.settle();
  }

  /** The content type by now, if it is known. What the caller's function throws destroys the stream. */
  #contentType(): string | undefined {
    try {
      return currentContentType(this.#options);
    } catch (error) {
      this.destroy(error as Error);
      return undefined;
    }
  }

  /** Says what the content type is, if that was not known when it connected. */
  #tellType(): void {
    if (!this.#takesType) return;
    this.#takesType = false;
    const contentType = this.#contentType();
    if (contentType === undefined) return;
    this.#fileType = contentType;
    this.#connection?.tell({ type: 'type', contentType });
  }

  #send(): void {
    if (this.#isOpen && this.#sent < this.#buffer.end) this.#tellType();
    const connection = this.#connection;
    const { messageBytes, maxUnsentBytes } = this.#isLegacy ? LEGACY_LIMITS : LIMITS;
    while (
      this.#isOpen &&
      connection !== undefined &&
      this.#sent < this.#buffer.end &&
      connection.bufferedBytes < maxUnsentBytes
    ) {
      const message = this.#buffer.view(this.#sent, messageBytes);
      this.#sent += message.length;
      const sent = this.#sent;
      connection.send(message, () => {
        if (connection !== this.#connection) return;
        // With a legacy server there is no resuming, so nothing has to be kept.
        if (this.#isLegacy) {
          this.#buffer.release(sent);
          this.#released();
        }
        this.#send();
      });
    }
  }

  #finishIfDone(): void {
    const isDone = this.#onFinished !== undefined && this.#buffer.start === this.#buffer.end;
    if (!isDone || !this.#isOpen || this.#isClosing) return;
    this.#isClosing = true;
    this.#tellType();
    if (!this.destroyed) this.#connection?.close(CloseCode.finished, this.#closeReason);
  }

  #ended(end: EndMessage): void {
    // After a shutdown, the close that follows says that the server will be back.
    if (end.reason !== 'shutdown') this.destroy(failureOfEnd(end));
  }

  #disconnected(end: ConnectionEnd): void {
    this.#isOpen = false;
    const refusal = this.#isLegacy ? undefined : failureOfToken(end);
    const isConfirmed = end.code === CloseCode.finished || (this.#isLegacy && end.code === CloseCode.none);
    if (this.#isClosing && isConfirmed) {
      if (this.#isLegacy) {
        this.#acknowledgedBytes = this.#sent;
        if (!this.#callOnAck(this.#sent)) return;
      }
      this.#isConfirmed = true;
      this.#onFinished?.();
    } else if (refusal !== undefined) {
      if (!this.#renew(refusal)) this.destroy(refusal);
    } else if (this.#isLegacy || isRefusal(end)) this.destroy(failureOfClose(end));
    else if (this.#wasOpen) this.#retry(connectionError(end));
    else this.#failedFirst(connectionError(end));
  }

  #refused({ status, error }: Refusal): void {
    if (this.#renew(error)) return;
    // A copy of the request, made by a proxy, arrived first: the next attempt has a higher number.
    if (error instanceof RepeatedRequestError) this.#retry(error);
    else if (!this.#wasOpen) this.#failedFirst(error);
    else if (isTransient(status)) this.#retry(error);
    else if (isPlain(error)) this.destroy(error);
    else this.destroy(interrupted(`the append cannot go on: ${error.message}`, error));
  }

  /** Connects with another token, if that is why it was refused and there may be one. */
  #renew(error: HttpfstreamError): boolean {
    return error instanceof UnauthorizedError && this.#reconnector.renew(() => this.#connect());
  }

  #failedFirst(error: HttpfstreamError): void {
    if (!this.#reconnector.scheduleFirst(error, () => this.#connect())) this.destroy(error);
  }

  #retry(error: HttpfstreamError): void {
    if (this.#reconnector.schedule(error, () => this.#connect())) return;
    this.destroy(failureOfRetry('the append was not confirmed', error));
  }
}

/** Whether an error says by itself why an append cannot go on. */
function isPlain(error: HttpfstreamError): boolean {
  return [ResourceGoneError, StreamClosedError, UnauthorizedError, ForbiddenRightError].some(
    (type) => error instanceof type,
  );
}

/**
 * The exit status for the end of the stream.
 *
 * @throws {TypeError} when the caller's function returns none; what that function throws
 */
async function statusOf({ status: ask }: AppendOptions): Promise<number | undefined> {
  const status = await ask?.();
  if (status !== undefined && !isStatus(status)) {
    throw new TypeError('the status must be an integer from 0 to 255');
  }
  return status;
}
