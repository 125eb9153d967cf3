import {
  ForbiddenRightError,
  type HttpfstreamError,
  ProtocolError,
  RepeatedRequestError,
  ResourceGoneError,
  StreamClosedError,
  UnauthorizedError,
} from '../../wire/errors.ts';
import {
  CloseCode,
  type ControlMessage,
  closeReasonOf,
  type EndMessage,
  type OpenMessage,
  QueryName,
} from '../../wire/protocol.ts';
import {
  type AppendRequestOptions,
  type AppendResult,
  assertAppendRequest,
  currentContentType,
  currentStatus,
} from './append-request.ts';
import type { Connect, Connection, ConnectionEnd, Connector, Refusal } from './connection.ts';
import { Reconnector } from './reconnector.ts';
import { isTransient } from './refusal.ts';
import { PendingWrites, ResendBuffer } from './resend-buffer.ts';
import { type SessionOptions, withValue } from './session-options.ts';
import {
  connectionError,
  failureOfClose,
  failureOfEnd,
  failureOfRetry,
  failureOfToken,
  interrupted,
  isRefusal,
} from './stream-failure.ts';

const DEFAULT_BUFFER_BYTES = 8 * 1024 * 1024;

/** How many random bytes the name of a session has. */
const TOKEN_BYTES = 18;

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

/** What an appender is told. Nothing comes after `onConfirmed` and `onFail`, or after `abandon`. */
export interface AppendHandlers {
  /** The server has accepted. Once. */
  onOpen: () => void;
  /** All bytes are safe, and the end is known. */
  onConfirmed: () => void;
  onFail: (error: Error) => void;
}

/**
 * One append over all its connections: what is not acknowledged is kept and sent again, exactly once. Where the
 * connections come from and who brings the bytes is up to others.
 */
export class AppendSession {
  readonly #url: URL;
  readonly #options: AppendRequestOptions;
  readonly #connector: Connector;
  readonly #handlers: AppendHandlers;
  readonly #buffer: ResendBuffer;
  readonly #reconnector: Reconnector;
  readonly #session = randomToken();
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
  /** Whether all was written, and how it ends is known. */
  #isComplete = false;
  #closeReason = '';
  #isClosing = false;
  #isOver = false;
  #acknowledgedBytes = 0;
  /** How often it has tried to connect. */
  #attempts = 0;

  /**
   * Does nothing before `connect`.
   *
   * @throws {TypeError} for invalid options
   */
  constructor(
    url: URL,
    options: AppendRequestOptions & SessionOptions,
    connector: Connector,
    handlers: AppendHandlers,
  ) {
    const { bufferBytes = DEFAULT_BUFFER_BYTES } = options;
    assertAppendRequest(options);
    this.#url = url;
    this.#options = options;
    this.#connector = connector;
    this.#handlers = handlers;
    this.#buffer = new ResendBuffer(bufferBytes);
    this.#reconnector = new Reconnector(options, (error) => this.#fail(error));
  }

  /** Position in the file of this append's first byte; undefined before `onOpen`, and for a legacy server. */
  get startPosition(): number | undefined {
    return this.#start;
  }

  /**
   * Content type that the file was given; null when it was given none. Undefined before `onOpen`, and for servers that
   * keep none.
   */
  get contentType(): string | null | undefined {
    return this.#fileType;
  }

  /** How many bytes of this append are safe. */
  get acknowledgedBytes(): number {
    return this.#acknowledgedBytes;
  }

  /** What has come of it by now. */
  get result(): AppendResult {
    const bytes = this.#acknowledgedBytes;
    const position = this.#start === undefined ? undefined : this.#start + bytes;
    return { position, bytes, generation: this.#generation };
  }

  /**
   * Takes chunks. No more may come before `callback` is called: when they are in the buffer, or with the error when they
   * never will be.
   */
  write(chunks: Uint8Array[], callback: (error?: Error) => void): void {
    this.#pending.set(chunks, callback);
    this.#accept();
  }

  /** Ends the append when all is safe, which `onConfirmed` tells. What the caller's function throws is its error. */
  end(): void {
    currentStatus(this.#options).then(
      (status) => {
        this.#closeReason = closeReasonOf(status);
        this.#isComplete = true;
        this.#finishIfDone();
      },
      (error) => this.#fail(error),
    );
  }

  /** Connects now, if it waits to do so again. */
  reconnect(): void {
    this.#reconnector.hurry();
  }

  /** Gives up: the append ends as interrupted, unless it was confirmed. */
  abandon(error: Error = interrupted('the append was destroyed')): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#reconnector.cancel();
    this.#isOpen = false;
    // A bare close would be a clean end for a legacy server.
    this.#connection?.abandon(CloseCode.goingAway);
    this.#buffer.clear();
    this.#pending.settle(error);
  }

  /**
   * Makes the first connection, or another one.
   *
   * @throws what cannot be sent
   */
  connect(): void {
    const url = new URL(this.#url);
    const query = url.searchParams;
    query.set(QueryName.session, this.#session);
    query.set(QueryName.attempt, String(this.#attempts++));
    const expect = this.#start ?? this.#options.expect;
    if (expect !== undefined) query.set(QueryName.expect, String(expect));
    if (this.#generation !== undefined) query.set(QueryName.generation, String(this.#generation));
    const contentType = this.#contentType();
    if (contentType !== undefined) query.set(QueryName.contentType, contentType);
    if (this.#isOver) return;
    this.#isClosing = false;
    withValue(
      this.#connector(),
      (connect) => this.#startHandshake(connect, url),
      (error) => this.#fail(error),
    );
  }

  #startHandshake(connect: Connect, url: URL): void {
    if (this.#isOver) return;
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
      this.#fail(new ProtocolError(`the server has ${arrived} bytes of this append, which cannot be`));
      return;
    }
    this.#sent = arrived;
    this.#reconnector.resumed();
    if (!this.#isOver) this.#begin();
  }

  #openedLegacy(): void {
    if (this.#wasOpen) {
      this.#fail(interrupted('the server no longer speaks the protocol that resuming needs'));
      return;
    }
    this.#isLegacy = true;
    this.#begin();
  }

  #begin(): void {
    this.#isOpen = true;
    if (!this.#wasOpen) {
      this.#wasOpen = true;
      this.#handlers.onOpen();
    }
    this.#send();
    this.#finishIfDone();
  }

  #acknowledged(position: number): void {
    const acknowledged = position - (this.#start ?? 0);
    if (acknowledged > this.#sent) {
      this.#fail(new ProtocolError('the server acknowledges bytes that were not sent'));
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
      this.#fail(error as Error);
    }
    return !this.#isOver;
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
      this.#fail(error as Error);
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
    const isDone = this.#isComplete && this.#buffer.start === this.#buffer.end;
    if (!isDone || !this.#isOpen || this.#isClosing) return;
    this.#isClosing = true;
    this.#tellType();
    if (!this.#isOver) this.#connection?.close(CloseCode.finished, this.#closeReason);
  }

  #ended(end: EndMessage): void {
    // After a shutdown, the close that follows says that the server will be back.
    if (end.reason !== 'shutdown') this.#fail(failureOfEnd(end));
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
      this.#isOver = true;
      this.#handlers.onConfirmed();
    } else if (refusal !== undefined) {
      if (!this.#renew(refusal)) this.#fail(refusal);
    } else if (this.#isLegacy || isRefusal(end)) this.#fail(failureOfClose(end));
    else if (this.#wasOpen) this.#retry(connectionError(end));
    else this.#failedFirst(connectionError(end));
  }

  #refused({ status, error }: Refusal): void {
    if (this.#renew(error)) return;
    // A copy of the request, made by a proxy, arrived first: the next attempt has a higher number.
    if (error instanceof RepeatedRequestError) this.#retry(error);
    else if (!this.#wasOpen) this.#failedFirst(error);
    else if (isTransient(status)) this.#retry(error);
    else if (isPlain(error)) this.#fail(error);
    else this.#fail(interrupted(`the append cannot go on: ${error.message}`, error));
  }

  /** Connects with another token, if that is why it was refused and there may be one. */
  #renew(error: HttpfstreamError): boolean {
    return error instanceof UnauthorizedError && this.#reconnector.renew(() => this.connect());
  }

  #failedFirst(error: HttpfstreamError): void {
    if (!this.#reconnector.scheduleFirst(error, () => this.connect())) this.#fail(error);
  }

  #retry(error: HttpfstreamError): void {
    if (this.#reconnector.schedule(error, () => this.connect())) return;
    this.#fail(failureOfRetry('the append was not confirmed', error));
  }

  #fail(error: Error): void {
    if (this.#isOver) return;
    this.abandon(error);
    this.#handlers.onFail(error);
  }
}

/** Whether an error says by itself why an append cannot go on. */
function isPlain(error: HttpfstreamError): boolean {
  return [ResourceGoneError, StreamClosedError, UnauthorizedError, ForbiddenRightError].some(
    (type) => error instanceof type,
  );
}

/** A name that nobody can guess. */
function randomToken(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(TOKEN_BYTES));
  return btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_');
}
