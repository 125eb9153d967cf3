import {
  type HttpfstreamError,
  ProtocolError,
  RangeNotSatisfiableError,
  ResourceGoneError,
  ResourceNotFoundError,
  UnauthorizedError,
  UnsupportedError,
} from '../../wire/errors.ts';
import {
  type ActivityMessage,
  CloseCode,
  type ControlMessage,
  type EndMessage,
  type EndReason,
  type OpenMessage,
  QueryName,
} from '../../wire/protocol.ts';
import type { Connect, Connection, ConnectionEnd, Connector, Refusal } from './connection.ts';
import {
  assertFollowRequest,
  type FollowEnding,
  type FollowOpening,
  type FollowRequestOptions,
} from './follow-request.ts';
import { continuationUrl, initialUrl, requestedPosition } from './follow-url.ts';
import { Reconnector } from './reconnector.ts';
import { isTransient } from './refusal.ts';
import { type SessionOptions, withValue } from './session-options.ts';
import {
  connectionError,
  endReasonOf,
  failureOfClose,
  failureOfEnd,
  failureOfResume,
  failureOfRetry,
  failureOfToken,
  interrupted,
  isRefusal,
  violationAfterFinished,
  violationInEnd,
} from './stream-failure.ts';

/** What a follower is told, in order. Nothing comes after `onFinish`, `onFail` and `onBroken`, or after `abandon`. */
export interface FollowHandlers {
  /** The server has accepted. Once. */
  onOpen: (opening: FollowOpening) => void;
  /** The server has accepted again, on another connection. */
  onReopen?: (live: boolean) => void;
  /** The appender was lost and may come back, or the resource does not exist yet; or that is over. */
  onWaiting: (isWaiting: boolean) => void;
  /** The appender says only after `onOpen` what the content type is. */
  onType: (contentType: string) => void;
  /** What goes on, once a second. The server is asked for it if this is here. */
  onActivity?: (activity: ActivityMessage) => void;
  onBytes: (bytes: Uint8Array) => void;
  /** These were the last bytes; whether the server confirms it is still to come. */
  onLastByte: () => void;
  onFinish: () => void;
  /** It has failed, after the bytes that came. */
  onFail: (error: HttpfstreamError) => void;
  /** It has failed before anything came, or by what the caller's own functions throw. */
  onBroken: (error: Error) => void;
}

/**
 * One follower over all its connections: positions, ends, and when it connects again. Where the connections come from
 * and who reads the bytes is up to others.
 */
export class FollowSession {
  readonly #url: URL;
  readonly #options: FollowRequestOptions;
  readonly #connector: Connector;
  readonly #handlers: FollowHandlers;
  readonly #reconnector: Reconnector;
  /** In terms of `performance.now()`. */
  readonly #waitUntil: number;
  #connection: Connection | undefined;
  #isAbandoned = false;
  /** Whether the server has accepted the request, even if it still waits for the resource. */
  #isServed = false;
  /** Whether `onOpen` was called. */
  #wasOpen = false;
  /** Whether the server has sent the position of the bytes on this connection. */
  #isOpen = false;
  #isWaiting = false;
  #isLegacy = false;
  /** Position of the next byte to arrive. */
  #position = 0;
  /** Position of the first byte that arrived. */
  #start = 0;
  #generation: number | undefined;
  /** As far as it is known. */
  #contentType: string | undefined;
  #reason: EndReason | undefined;
  #status: number | undefined;
  #ending: FollowEnding = {};
  /** The end, once it is `finished`: the close is still to come. */
  #finished: EndMessage | undefined;
  /** How many bytes to discard: a legacy server always sends from the beginning. */
  #skip = 0;

  /**
   * Does nothing before `connect`.
   *
   * @throws {TypeError} for invalid options
   */
  constructor(
    url: URL,
    options: FollowRequestOptions & SessionOptions,
    connector: Connector,
    handlers: FollowHandlers,
  ) {
    assertFollowRequest(options);
    this.#url = url;
    this.#options = options;
    this.#connector = connector;
    this.#handlers = handlers;
    this.#reconnector = new Reconnector(options, handlers.onBroken);
    this.#waitUntil = performance.now() + (options.wait ?? 0) * 1000;
  }

  /** Position of the first byte that has arrived; 0 before `onOpen`. */
  get start(): number {
    return this.#start;
  }

  /** Position of the next byte to arrive. */
  get position(): number {
    return this.#position;
  }

  get generation(): number | undefined {
    return this.#generation;
  }

  get contentType(): string | undefined {
    return this.#contentType;
  }

  get reason(): EndReason | undefined {
    return this.#reason;
  }

  /** Of the command that wrote the stream; known when it has finished. */
  get status(): number | undefined {
    return this.#status;
  }

  get ending(): FollowEnding {
    return this.#ending;
  }

  pause(): void {
    this.#connection?.pause();
  }

  resume(): void {
    this.#connection?.resume();
  }

  /** Takes no more bytes, and has no connection, until `connect` is called. Not once the last byte has come. */
  suspend(): void {
    this.#connection?.abandon();
  }

  /** Connects now, if it waits to do so again. */
  reconnect(): void {
    this.#reconnector.hurry();
  }

  /** Ends it, wherever it is. */
  abandon(): void {
    this.#isAbandoned = true;
    this.#reconnector.cancel();
    this.#connection?.abandon();
  }

  /**
   * Makes the first connection, or another one.
   *
   * @throws what cannot be sent
   */
  connect(): void {
    const url = this.#wasOpen
      ? continuationUrl(this.#url, this.#position, this.#generation, this.#options.hold)
      : initialUrl(this.#url, this.#options, this.#waitUntil - performance.now());
    if (this.#handlers.onActivity !== undefined) url.searchParams.set(QueryName.status, '1');
    this.#isOpen = false;
    withValue(this.#connector(), (connect) => this.#startHandshake(connect, url), this.#handlers.onBroken);
  }

  #startHandshake(connect: Connect, url: URL): void {
    if (this.#isAbandoned) return;
    this.#connection = connect(url, 'FOLLOW', {
      takesBody: !this.#isServed,
      onOpen: (connection) => {
        this.#reconnector.opened();
        if (!connection.isV2) this.#openedLegacy();
      },
      onRefused: (refusal) => this.#refused(refusal),
      onPayload: (bytes) => this.#received(bytes),
      onMessage: (message) => this.#handle(message),
      onEnd: (end) => this.#disconnected(end),
    });
  }

  #handle(message: ControlMessage): void {
    this.#isServed = true;
    if (message.type === 'open') this.#opened(message);
    else if (message.type === 'end') this.#ended(message);
    else if (message.type === 'status') this.#handlers.onActivity?.(message);
    else if (message.type === 'type') this.#noteType(message.contentType);
    else if (message.type === 'waiting' || message.type === 'live') this.#wait(message.type === 'waiting');
  }

  #opened({ generation, position, live, size, part, contentType, stream }: OpenMessage): void {
    const isDuplicate = this.#isOpen;
    this.#isOpen = true;
    const expected = this.#wasOpen ? this.#position : requestedPosition(this.#url, this.#options);
    if (isDuplicate) {
      this.#fail(new ProtocolError('the server opened the stream twice'));
    } else if (this.#wasOpen && generation !== this.#generation) {
      this.#fail(new ResourceGoneError('the file was deleted and made anew'));
    } else if (expected !== undefined && position !== expected) {
      this.#fail(new ProtocolError(`the server goes on at ${position} instead of ${expected}`));
    } else if (this.#wasOpen) {
      this.#reconnector.resumed({ live, ...(size !== undefined && { size }) });
      this.#handlers.onReopen?.(live);
      // The appender came back while this follower was disconnected.
      if (this.#isWaiting && live) this.#wait(false);
      if (typeof contentType === 'string') this.#noteType(contentType);
    } else {
      this.#wasOpen = true;
      this.#generation = generation;
      this.#start = position;
      this.#position = position;
      this.#reconnector.resumed();
      const told = {
        ...(size !== undefined && { size }),
        ...(part === true && { part }),
        ...(typeof contentType === 'string' && { contentType }),
        ...(stream === true && { stream }),
      };
      this.#contentType = told.contentType;
      this.#handlers.onOpen({ generation, position, live, ...told });
    }
  }

  /** What is told again on another connection is no news. */
  #noteType(contentType: string): void {
    if (this.#contentType !== undefined) return;
    this.#contentType = contentType;
    this.#handlers.onType(contentType);
  }

  #wait(isWaiting: boolean): void {
    this.#isWaiting = isWaiting;
    this.#reconnector.resumed();
    this.#handlers.onWaiting(isWaiting);
  }

  #openedLegacy(): void {
    const { from = 0, lines, generation } = this.#options;
    if (this.#wasOpen) {
      this.#fail(interrupted('the server no longer speaks the protocol that resuming needs'));
      return;
    }
    if (from < 0 || lines !== undefined || generation !== undefined) {
      this.#handlers.onBroken(new UnsupportedError('the server cannot start anywhere but at a position'));
      return;
    }
    this.#wasOpen = true;
    this.#isOpen = true;
    this.#isLegacy = true;
    this.#skip = from;
    this.#start = from;
    this.#position = from;
    this.#handlers.onOpen({ generation: undefined, position: from, live: undefined });
  }

  #received(bytes: Uint8Array): void {
    if (!this.#isOpen) {
      this.#fail(new ProtocolError('the server sent bytes before it said which'));
      return;
    }
    const wanted = this.#skip === 0 ? bytes : bytes.subarray(this.#skip);
    this.#skip -= bytes.length - wanted.length;
    if (wanted.length === 0) return;
    this.#position += wanted.length;
    this.#reconnector.progressed();
    this.#handlers.onBytes(wanted);
  }

  #ended(end: EndMessage): void {
    const { reason } = end;
    this.#ending = end;
    // The close that follows says that the server will be back.
    if (reason === 'shutdown') return;
    const violation = violationInEnd(end, this.#isOpen ? this.#position : undefined);
    if (violation !== undefined || reason !== 'finished') {
      this.#fail(violation ?? failureOfEnd(end));
    } else {
      this.#finished = end;
      this.#handlers.onLastByte();
      this.#connection?.awaitClose();
    }
  }

  #disconnected(end: ConnectionEnd): void {
    const violation = this.#finished && violationAfterFinished(end);
    const isClean = end.code === CloseCode.finished || end.code === CloseCode.none;
    const refusal = this.#isLegacy ? undefined : failureOfToken(end);
    if (violation !== undefined) this.#fail(violation);
    else if (this.#finished !== undefined) this.#finish(this.#finished.status);
    else if (refusal !== undefined) {
      if (!this.#renew(refusal)) this.#fail(refusal);
    } else if (this.#isLegacy && isClean && end.isBetweenMessages) this.#finishLegacy(end);
    else if (this.#isLegacy || isRefusal(end)) this.#fail(failureOfClose(end));
    else if (this.#isServed) this.#retry(connectionError(end));
    else this.#failedFirst(connectionError(end));
  }

  #refused({ status, error }: Refusal): void {
    if (this.#renew(error)) return;
    const isMissing = error instanceof ResourceNotFoundError && performance.now() >= this.#waitUntil;
    if (!this.#isServed) this.#failedFirst(error);
    else if (isMissing && !this.#wasOpen) this.#handlers.onBroken(error);
    else if (isTransient(status)) this.#retry(error);
    else this.#fail(this.#wasOpen ? failureOfResume(error) : error);
  }

  /** Connects with another token, if that is why it was refused and there may be one. */
  #renew(error: HttpfstreamError): boolean {
    return error instanceof UnauthorizedError && this.#reconnector.renew(() => this.connect());
  }

  #finishLegacy({ isPresumed }: ConnectionEnd): void {
    if (isPresumed === true) this.#ending = { presumed: true };
    if (this.#skip === 0) this.#finish();
    else this.#fail(new RangeNotSatisfiableError(`the file has fewer than ${this.#options.from} bytes`));
  }

  #finish(status?: number): void {
    this.#reason = 'finished';
    this.#status = status;
    this.#handlers.onFinish();
  }

  #failedFirst(error: HttpfstreamError): void {
    if (!this.#reconnector.scheduleFirst(error, () => this.connect())) this.#handlers.onBroken(error);
  }

  #retry(error: HttpfstreamError): void {
    const waitMs = this.#wasOpen ? undefined : this.#waitUntil - performance.now();
    if (waitMs !== undefined && waitMs <= 0) {
      this.#fail(new ResourceNotFoundError(`file does not exist: ${error.message}`, { cause: error }));
      return;
    }
    if (!this.#reconnector.schedule(error, () => this.connect(), waitMs))
      this.#fail(failureOfRetry('the connection was lost for good', error));
  }

  #fail(error: HttpfstreamError): void {
    this.#reason ??= endReasonOf(error);
    this.#connection?.abandon(CloseCode.goingAway);
    this.#handlers.onFail(error);
  }
}
