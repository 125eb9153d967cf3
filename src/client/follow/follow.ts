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
} from '../../wire/protocol.ts';
import { Connection } from '../connection/connection.ts';
import {
  breachOfFinished,
  type ConnectionEnd,
  connectionError,
  isRefusal,
} from '../connection/connection-end.ts';
import { type RequestHeaders, withHeaders } from '../connection/handshake-headers.ts';
import { targetUrl } from '../connection/target-url.ts';
import { destroyOnAbort } from '../destroy-on-abort.ts';
import { Reconnector } from '../reconnector.ts';
import { isTransient, refusalOf } from '../refusal.ts';
import {
  breachOfEnd,
  failureOfClose,
  failureOfEnd,
  failureOfResume,
  failureOfRetry,
  interrupted,
  reasonOf,
} from '../stream-failure.ts';
import { BodySource } from './body-source.ts';
import {
  assertOptions,
  type FollowEnding,
  type FollowOpening,
  type FollowOptions,
  type FollowStream,
} from './follow-options.ts';
import { askedPosition, beginningUrl, continuationUrl } from './follow-url.ts';
import { LateFailingReadable } from './late-failing-readable.ts';
import { SmallPieces } from './small-pieces.ts';

const HIGH_WATER_MARK_BYTES = 1024 * 1024;

/**
 * Follows a resource: what was written, then what is being written, until its
 * appender ends. An idle resource is read as it is. When the connection breaks
 * it goes on through a new one, at its position.
 *
 * The result is a Node readable of bytes and an async iterable of Buffers. It
 * emits `open` (a {@link FollowOpening}) when the server has accepted, `waiting`
 * when the appender was lost and may come back, or the resource is not there
 * yet, and `live` when it is back. It ends only when the stream `finished`,
 * and errors otherwise: {@link StreamInterruptedError},
 * {@link ResourceGoneError} when the file was deleted or made anew,
 * {@link StreamTruncatedError}, {@link ResourceNotFoundError},
 * {@link RangeNotSatisfiableError}, {@link UnexpectedStatusError},
 * {@link ConnectionError} when the first connection fails, {@link ConnectionLostError}
 * when it was lost later and no new one could be made, {@link ProtocolError} when
 * the server broke the protocol, {@link UnsupportedError} when a legacy server
 * cannot do what is asked for.
 *
 * @param url http, https, ws or wss URL of the resource
 * @throws {InvalidUrlError}
 * @throws {TypeError} for options that make no sense
 */
export function follow(url: string | URL, options: FollowOptions = {}): FollowStream {
  return new ResumingFollow(targetUrl(url), options);
}

class ResumingFollow extends LateFailingReadable implements FollowStream {
  status: number | undefined;
  readonly #url: URL;
  readonly #options: FollowOptions;
  readonly #reconnector: Reconnector;
  /** In terms of `performance.now()`. */
  readonly #waitUntil: number;
  #connection: Connection | undefined;
  /** Where the bytes come from once the server has accepted. */
  #source: { pause(): void; resume(): void } | undefined;
  /** Whether the server has begun to serve, be it that it waits for the resource. */
  #isServed = false;
  #wasOpen = false;
  /** Whether the connection has told where its bytes begin. */
  #isOpen = false;
  #isWaiting = false;
  #isLegacy = false;
  /** Of the next byte that arrives. */
  #position = 0;
  /** Of the first byte. */
  #start = 0;
  #generation: number | undefined;
  #reason: EndReason | undefined;
  #ending: FollowEnding = {};
  /** What the server has called finished. */
  #finished: EndMessage | undefined;
  readonly #smallPieces = new SmallPieces((bytes) => {
    if (!this.push(bytes)) this.#source?.pause();
  });
  /** Bytes that a legacy server sends and nobody wants. */
  #skip = 0;

  constructor(url: URL, options: FollowOptions) {
    super({ highWaterMark: HIGH_WATER_MARK_BYTES });
    assertOptions(options);
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

  get reason(): EndReason | undefined {
    return this.#reason;
  }

  get ending(): FollowEnding {
    return this.#ending;
  }

  override _read(): void {
    this.#source?.resume();
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#reconnector.cancel();
    this.#connection?.abandon();
    this.#smallPieces.clear();
    callback(error);
  }

  #connect(): void {
    const url = this.#wasOpen
      ? continuationUrl(this.#url, this.#position, this.#generation, this.#options.hold)
      : beginningUrl(this.#url, this.#options, this.#waitUntil - performance.now());
    this.#source = undefined;
    this.#isOpen = false;
    withHeaders(this, this.#options.headers, (headers) => this.#shakeHands(url, headers));
  }

  #shakeHands(url: URL, headers: RequestHeaders): void {
    const options = { ...this.#options, headers };
    this.#connection = new Connection(url, 'FOLLOW', options, {
      onOpen: (connection) => {
        this.#reconnector.opened();
        this.#source = connection;
        if (!connection.isV2) this.#openedLegacy();
      },
      onResponse: (response) => {
        this.#answered(response).catch((error) => this.destroy(error));
      },
      onPayload: (bytes) => this.#takeBytes(bytes),
      onMessage: (message) => this.#take(message),
      onEnd: (end) => this.#disconnected(end),
    });
  }

  #take(message: ControlMessage): void {
    this.#isServed = true;
    if (message.type === 'open') this.#opened(message);
    else if (message.type === 'end') this.#ended(message);
    else if (['waiting', 'live'].includes(message.type)) this.#tellWaiting(message.type === 'waiting');
  }

  #opened({ generation, position, live }: OpenMessage): void {
    const isSecond = this.#isOpen;
    this.#isOpen = true;
    const expected = this.#wasOpen ? this.#position : askedPosition(this.#url, this.#options);
    if (isSecond) {
      this.#fail(new ProtocolError('the server opened the stream twice'));
    } else if (this.#wasOpen && generation !== this.#generation) {
      this.#fail(new ResourceGoneError('the file was deleted and made anew'));
    } else if (expected !== undefined && position !== expected) {
      this.#fail(new ProtocolError(`the server goes on at ${position} instead of ${expected}`));
    } else if (this.#wasOpen) {
      this.#reconnector.resumed();
      // It came back while this one was away itself.
      if (this.#isWaiting && live) this.#tellWaiting(false);
    } else {
      this.#wasOpen = true;
      this.#generation = generation;
      this.#start = position;
      this.#position = position;
      this.#reconnector.resumed();
      this.emit('open', { generation, position, live } satisfies FollowOpening);
    }
  }

  #tellWaiting(isWaiting: boolean): void {
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

  #takeBytes(bytes: Buffer): void {
    if (!this.#isOpen) {
      this.#fail(new ProtocolError('the server sent bytes before it said which'));
      return;
    }
    const wanted = this.#skip === 0 ? bytes : bytes.subarray(this.#skip);
    this.#skip -= bytes.length - wanted.length;
    if (wanted.length === 0) return;
    this.#position += wanted.length;
    this.#reconnector.progressed();
    this.#smallPieces.add(wanted, this.readableLength > 0);
  }

  #ended(end: EndMessage): void {
    const { reason } = end;
    this.#ending = end;
    // The close that comes next says that the server will be back.
    if (reason === 'shutdown') return;
    const breach = breachOfEnd(end, this.#isOpen ? this.#position : undefined);
    if (breach !== undefined || reason !== 'finished') {
      this.#fail(breach ?? failureOfEnd(end));
    } else {
      this.#finished = end;
      this.#smallPieces.flush();
      this.#connection?.awaitClose();
    }
  }

  #disconnected(end: ConnectionEnd): void {
    const breach = this.#finished && breachOfFinished(end);
    const isClean = end.code === CloseCode.finished || end.code === CloseCode.none;
    if (breach !== undefined) this.#fail(breach);
    else if (this.#finished !== undefined) this.#finish(this.#finished.status);
    else if (this.#isLegacy && isClean && end.isBetweenMessages) this.#finishLegacy();
    else if (this.#isLegacy || isRefusal(end)) this.#fail(failureOfClose(end));
    else if (this.#isServed) this.#retry(connectionError(end));
    else this.destroy(connectionError(end));
  }

  async #answered(response: IncomingMessage): Promise<void> {
    if (response.statusCode === 200 && !this.#isServed) return this.#takeBody(response);
    const error = await refusalOf(response);
    if (this.destroyed) return;
    const isInVain = error instanceof ResourceNotFoundError && performance.now() >= this.#waitUntil;
    if (!this.#isServed || (isInVain && !this.#wasOpen)) this.destroy(error);
    else if (isTransient(response.statusCode)) this.#retry(error);
    else this.#fail(this.#wasOpen ? failureOfResume(error) : error);
  }

  /** An idle resource of a legacy server, which answers the handshake with the file. */
  #takeBody(response: IncomingMessage): void {
    this.#openedLegacy();
    const source = new BodySource(response, {
      onBytes: (bytes) => this.#takeBytes(bytes),
      onEnd: (presumed) => {
        if (presumed) this.#ending = { presumed };
        this.#finishLegacy();
      },
      onBroken: (error) => this.#fail(error),
    });
    this.#source = source;
    this.once('close', () => source.destroy());
  }

  #finishLegacy(): void {
    if (this.#skip === 0) this.#finish();
    else this.#fail(new RangeNotSatisfiableError(`the file has fewer than ${this.#options.from} bytes`));
  }

  #finish(status?: number): void {
    this.#reason = 'finished';
    this.status = status;
    this.#smallPieces.flush();
    this.push(null);
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

  /** Errors, when what has come is read. */
  #fail(error: HttpfstreamError): void {
    this.#reason ??= reasonOf(error);
    this.#connection?.abandon(CloseCode.goingAway);
    this.#smallPieces.flush();
    this.failLate(error);
  }
}
