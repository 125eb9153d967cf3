import type { IncomingMessage } from 'node:http';
import {
  type HttpfstreamError,
  ProtocolError,
  RangeNotSatisfiableError,
  ResourceGoneError,
  ResourceNotFoundError,
  StreamInterruptedError,
  UnsupportedError,
} from '../../wire/errors.ts';
import {
  CloseCode,
  type ControlMessage,
  type EndMessage,
  type EndReason,
  type OpenMessage,
  TCP_KEEP_ALIVE_MS,
} from '../../wire/protocol.ts';
import { ClientConnection, type ConnectionEnd } from '../connection/client-connection.ts';
import { targetUrl } from '../connection/target-url.ts';
import { Reconnector } from '../reconnector.ts';
import { isTransient, refusalOf } from '../refusal.ts';
import {
  connectionError,
  endReasonOf,
  failureOfClose,
  failureOfEnd,
  failureOfResume,
  failureOfRetry,
  interrupted,
  isRefusal,
  violationAfterFinished,
  violationInEnd,
} from '../stream-failure.ts';
import { destroyOnAbort, type RequestHeaders, withHeaders } from '../stream-options.ts';
import { bodyEndOf } from './body-end.ts';
import {
  assertFollowOptions,
  type FollowEnding,
  type FollowOpening,
  type FollowOptions,
  type FollowStream,
} from './follow-options.ts';
import { FollowReadable } from './follow-readable.ts';
import { continuationUrl, initialUrl, requestedPosition } from './follow-url.ts';

const HIGH_WATER_MARK_BYTES = 1024 * 1024;

/**
 * Follows a resource: what was written, then what is being written, until its
 * appender ends. An idle resource is read as it is. When the connection breaks,
 * it reconnects and resumes at its position.
 *
 * The result is a Node readable of bytes and an async iterable of Buffers. It
 * emits `open` (a {@link FollowOpening}) when the server has accepted, `waiting`
 * when the appender was lost and may come back, or the resource does not exist
 * yet, `live` when it is back, and `type` when the appender says only after `open` what
 * the content type is. It ends only when the stream `finished`, and errors otherwise: {@link StreamInterruptedError},
 * {@link ResourceGoneError} when the file was deleted or replaced,
 * {@link StreamTruncatedError}, {@link ResourceNotFoundError},
 * {@link RangeNotSatisfiableError}, {@link UnexpectedStatusError},
 * {@link ConnectionError} when the first connection fails, {@link ConnectionLostError}
 * when it was lost later and no new one could be made, {@link ProtocolError} when
 * the server violated the protocol, {@link UnsupportedError} when a legacy server
 * cannot do what is requested.
 *
 * @param url http, https, ws or wss URL of the resource
 * @throws {InvalidUrlError}
 * @throws {TypeError} for invalid options
 */
export function follow(url: string | URL, options: FollowOptions = {}): FollowStream {
  return new ResumingFollow(targetUrl(url), options);
}

class ResumingFollow extends FollowReadable implements FollowStream {
  status: number | undefined;
  readonly #url: URL;
  readonly #options: FollowOptions;
  readonly #reconnector: Reconnector;
  /** In terms of `performance.now()`. */
  readonly #waitUntil: number;
  #connection: ClientConnection | undefined;
  /** Whether the server has accepted the request, even if it still waits for the resource. */
  #isServed = false;
  /** Whether `open` was emitted. */
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
  #ending: FollowEnding = {};
  /** The end, once it is `finished`: the close is still to come. */
  #finished: EndMessage | undefined;
  /** How many bytes to discard: a legacy server always sends from the beginning. */
  #skip = 0;

  constructor(url: URL, options: FollowOptions) {
    super({ highWaterMark: HIGH_WATER_MARK_BYTES });
    assertFollowOptions(options);
    this.#url = url;
    this.#options = options;
    this.#reconnector = new Reconnector(options, (error) => this.destroy(error));
    this.#waitUntil = performance.now() + (options.wait ?? 0) * 1000;
    destroyOnAbort(this, options.signal);
    if (!this.destroyed) this.#connect();
  }

  get position(): number {
    return Math.min(this.#start + this.readBytes, this.#position);
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

  get ending(): FollowEnding {
    return this.#ending;
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#reconnector.cancel();
    this.#connection?.abandon();
    super._destroy(error, callback);
  }

  #connect(): void {
    const url = this.#wasOpen
      ? continuationUrl(this.#url, this.#position, this.#generation, this.#options.hold)
      : initialUrl(this.#url, this.#options, this.#waitUntil - performance.now());
    this.readFrom(undefined);
    this.#isOpen = false;
    withHeaders(this, this.#options.headers, (headers) => this.#startHandshake(url, headers));
  }

  #startHandshake(url: URL, headers: RequestHeaders): void {
    const options = { ...this.#options, headers };
    this.#connection = new ClientConnection(url, 'FOLLOW', options, {
      onOpen: (connection) => {
        this.#reconnector.opened();
        this.readFrom(connection);
        if (!connection.isV2) this.#openedLegacy();
      },
      onResponse: (response) => {
        this.#answered(response).catch((error) => this.destroy(error));
      },
      onPayload: (bytes) => this.#received(bytes),
      onMessage: (message) => this.#handle(message),
      onEnd: (end) => this.#disconnected(end),
    });
  }

  #handle(message: ControlMessage): void {
    this.#isServed = true;
    if (message.type === 'open') this.#opened(message);
    else if (message.type === 'end') this.#ended(message);
    else if (message.type === 'type') this.#noteType(message.contentType);
    else if (['waiting', 'live'].includes(message.type)) this.#emitWaiting(message.type === 'waiting');
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
      // The appender came back while this follower was disconnected.
      if (this.#isWaiting && live) this.#emitWaiting(false);
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
      this.emit('open', { generation, position, live, ...told } satisfies FollowOpening);
    }
  }

  /** What is told again on another connection is no news. */
  #noteType(contentType: string): void {
    if (this.#contentType !== undefined) return;
    this.#contentType = contentType;
    this.emit('type', contentType);
  }

  #emitWaiting(isWaiting: boolean): void {
    this.#isWaiting = isWaiting;
    this.#reconnector.resumed();
    this.emit(isWaiting ? 'waiting' : 'live');
  }

  #openedLegacy(): void {
    const { from = 0, lines, generation } = this.#options;
    if (this.#wasOpen) {
      this.#fail(interrupted('the server no longer speaks the protocol that resuming needs'));
      return;
    }
    if (from < 0 || lines !== undefined || generation !== undefined) {
      this.destroy(new UnsupportedError('the server cannot start anywhere but at a position'));
      return;
    }
    this.#wasOpen = true;
    this.#isOpen = true;
    this.#isLegacy = true;
    this.#skip = from;
    this.#start = from;
    this.#position = from;
    this.emit('open', { generation: undefined, position: from, live: undefined } satisfies FollowOpening);
  }

  #received(bytes: Buffer): void {
    if (!this.#isOpen) {
      this.#fail(new ProtocolError('the server sent bytes before it said which'));
      return;
    }
    const wanted = this.#skip === 0 ? bytes : bytes.subarray(this.#skip);
    this.#skip -= bytes.length - wanted.length;
    if (wanted.length === 0) return;
    this.#position += wanted.length;
    this.#reconnector.progressed();
    this.receive(wanted);
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
      this.flush();
      this.#connection?.awaitClose();
    }
  }

  #disconnected(end: ConnectionEnd): void {
    const violation = this.#finished && violationAfterFinished(end);
    const isClean = end.code === CloseCode.finished || end.code === CloseCode.none;
    if (violation !== undefined) this.#fail(violation);
    else if (this.#finished !== undefined) this.#finish(this.#finished.status);
    else if (this.#isLegacy && isClean && end.isBetweenMessages) this.#finishLegacy();
    else if (this.#isLegacy || isRefusal(end)) this.#fail(failureOfClose(end));
    else if (this.#isServed) this.#retry(connectionError(end));
    else this.destroy(connectionError(end));
  }

  async #answered(response: IncomingMessage): Promise<void> {
    if (response.statusCode === 200 && !this.#isServed) return this.#readBody(response);
    const error = await refusalOf(response);
    if (this.destroyed) return;
    const isMissing = error instanceof ResourceNotFoundError && performance.now() >= this.#waitUntil;
    if (!this.#isServed || (isMissing && !this.#wasOpen)) this.destroy(error);
    else if (isTransient(response.statusCode)) this.#retry(error);
    else this.#fail(this.#wasOpen ? failureOfResume(error) : error);
  }

  /** A legacy server answers the handshake for an idle resource with the file. */
  #readBody(response: IncomingMessage): void {
    this.#openedLegacy();
    // Ends the time limit of the handshake: the reader may take as long as it likes.
    response.socket.setTimeout(0);
    // Nothing is sent on this connection, so without probes a server that is gone would not be noticed.
    response.socket.setKeepAlive(true, TCP_KEEP_ALIVE_MS);
    response.on('data', (bytes) => this.#received(bytes));
    response.once('end', () => this.#bodyEnded(response));
    response.once('error', (cause) => this.#fail(interrupted('the connection broke', cause)));
    this.readFrom(response);
    this.once('close', () => response.destroy());
  }

  #bodyEnded(response: IncomingMessage): void {
    const end = bodyEndOf(response);
    if (end === 'presumed') this.#ending = { presumed: true };
    if (end !== 'unknown') this.#finishLegacy();
    else this.#fail(interrupted('the connection was closed, and nothing says that this was the end'));
  }

  #finishLegacy(): void {
    if (this.#skip === 0) this.#finish();
    else this.#fail(new RangeNotSatisfiableError(`the file has fewer than ${this.#options.from} bytes`));
  }

  #finish(status?: number): void {
    this.#reason = 'finished';
    this.status = status;
    this.finish();
  }

  #retry(error: HttpfstreamError): void {
    const waitMs = this.#wasOpen ? undefined : this.#waitUntil - performance.now();
    if (waitMs !== undefined && waitMs <= 0) {
      this.#fail(new ResourceNotFoundError(`file does not exist: ${error.message}`, { cause: error }));
      return;
    }
    if (!this.#reconnector.schedule(error, () => this.#connect(), waitMs))
      this.#fail(failureOfRetry('the connection was lost for good', error));
  }

  /** Fails once what has arrived is read. */
  #fail(error: HttpfstreamError): void {
    this.#reason ??= endReasonOf(error);
    this.#connection?.abandon(CloseCode.goingAway);
    this.failLate(error);
  }
}
