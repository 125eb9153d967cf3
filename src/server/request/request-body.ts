import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import zlib from 'node:zlib';
import type { FastifyRequest } from 'fastify';
import { ByteQueue } from '../../core/byte-queue.ts';
import {
  BodyTimeoutError,
  type HttpfstreamError,
  InvalidRequestError,
  LengthRequiredError,
  PayloadTooLargeError,
  UnsupportedEncodingError,
  UnsupportedTransferError,
} from '../../wire/errors.ts';
import { expectationFailed } from '../node/bare-refusals.ts';
import { limitIdle } from '../node/connections/client-socket.ts';
import type { BodyShare } from './body-budget.ts';

/** Consumes a {@link BodySource}. The last call is one of `ended`, `failed` and `cut`. */
export interface BodyReader {
  /**
   * Takes bytes, and owns them from now on.
   *
   * @param isMerged whether they are several chunks as they were sent. Default: false
   */
  take(bytes: Buffer, isMerged?: boolean): void;
  /** Called at the end. */
  ended(): void;
  /** Called when the bytes are invalid, or too late. The connection may still be there. */
  failed(error: HttpfstreamError): void;
  /** Called when the connection broke before the end. */
  cut(): void;
}

/** Bytes from a client, in order. */
export interface BodySource {
  /** Starts to pass them on. To be called once. */
  read(reader: BodyReader): void;
  /** Passes on nothing until {@link resume}. Neither has an effect after the end. */
  pause(): void;
  resume(): void;
  /** Drops what is still to come; the reader is not called any more. */
  discard(): void;
}

/** Smaller chunks are gathered, up to this size. */
const GATHERED_BYTES = 16 * 1024;

type Decoder = zlib.Gunzip | zlib.Inflate | zlib.BrotliDecompress;

const DECODERS: Readonly<Record<string, () => Decoder>> = {
  gzip: () => zlib.createGunzip(),
  'x-gzip': () => zlib.createGunzip(),
  deflate: () => zlib.createInflate(),
  br: () => zlib.createBrotliDecompress(),
};

/**
 * How many bytes one byte may be decoded to: what deflate can reach at most, so
 * that no log is too repetitive. Brotli can make a million of one.
 */
const MAX_DECODED_RATIO = 1032;

/** May be decoded beyond that: a short body is no danger. */
const DECODED_GRACE_BYTES = 1024 * 1024;

/**
 * The body of a request as it comes, decoded (`Content-Encoding`). Bytes that came
 * together are passed on together, in however small chunks they were sent.
 */
export class RequestBody implements BodySource {
  readonly #request: IncomingMessage;
  /** The request, or what an application's hooks made of it. */
  readonly #raw: Readable;
  readonly #encoding: string;
  readonly #idleTimeoutMs: number;
  /** What has come in this turn of the event loop. */
  readonly #arrived = new ByteQueue();
  #decoder: Decoder | undefined;
  #encodedBytes = 0;
  #decodedBytes = 0;
  #reader: BodyReader | undefined;

  /**
   * @param options.idleTimeoutMs longest time without a byte, in milliseconds; 0, which is the default, for any
   * @throws {UnsupportedEncodingError} when it is encoded in a way that is not known
   */
  constructor(request: FastifyRequest, { idleTimeoutMs = 0 }: { idleTimeoutMs?: number } = {}) {
    this.#request = request.raw;
    this.#raw = request.body instanceof Readable ? request.body : request.raw;
    this.#encoding = encodingOf(request.raw);
    this.#idleTimeoutMs = idleTimeoutMs;
  }

  read(reader: BodyReader): void {
    this.#reader = reader;
    const raw = this.#raw;
    raw.on('error', (cause) => this.#fail(new InvalidRequestError('the body cannot be read', { cause })));
    if (raw.destroyed && !raw.readableEnded) {
      this.#cut();
      return;
    }
    raw.once('close', () => {
      this.#pass();
      if (!raw.readableEnded) this.#cut();
    });
    this.#limitIdleTime();
    this.#decoder = DECODERS[this.#encoding]?.();
    if (this.#decoder !== undefined) this.#decode(this.#decoder);
    raw.on('data', (bytes: Buffer) => this.#arrive(bytes));
    raw.once('end', () => {
      this.#pass();
      if (this.#decoder === undefined) this.#settle()?.ended();
      else if (this.#reader !== undefined) this.#decoder.end();
    });
  }

  pause(): void {
    if (this.#reader === undefined) return;
    this.#source.pause();
  }

  resume(): void {
    // The time limit of the connection is no longer this body's.
    if (this.#reader === undefined) return;
    this.#limitIdleTime();
    this.#source.resume();
  }

  discard(): void {
    this.#settle();
    this.#decoder?.destroy();
    this.#raw.resume();
  }

  get #source(): Readable {
    return this.#decoder ?? this.#raw;
  }

  #arrive(bytes: Buffer): void {
    if (this.#reader === undefined) return;
    // Node runs microtasks and ticks after each chunk, so that only the next turn of the event loop is late enough.
    if (this.#arrived.length === 0) setImmediate(() => this.#pass());
    this.#arrived.push(bytes);
    if (this.#arrived.length >= GATHERED_BYTES) this.#pass();
  }

  #pass(): void {
    const { parts, merged } = this.#arrived.take();
    for (const bytes of parts) {
      if (this.#decoder === undefined) this.#reader?.take(bytes, merged?.has(bytes));
      else if (this.#reader !== undefined) this.#passEncoded(this.#decoder, bytes);
    }
  }

  #passEncoded(decoder: Decoder, bytes: Buffer): void {
    this.#encodedBytes += bytes.length;
    if (!decoder.write(bytes)) this.#raw.pause();
  }

  #decode(decoder: Decoder): void {
    decoder.once('error', (cause) =>
      this.#fail(new InvalidRequestError(`the body is not what ${this.#encoding} makes`, { cause })),
    );
    decoder.on('drain', () => this.#raw.resume());
    decoder.on('data', (bytes: Buffer) => this.#takeDecoded(bytes));
    decoder.once('end', () => this.#endDecoded(decoder));
  }

  #takeDecoded(bytes: Buffer): void {
    this.#decodedBytes += bytes.length;
    if (this.#decodedBytes <= DECODED_GRACE_BYTES + MAX_DECODED_RATIO * this.#encodedBytes) {
      // Nothing is known of how it was written.
      this.#reader?.take(bytes, true);
      return;
    }
    const detail = `decoded, the body is more than ${MAX_DECODED_RATIO} times as long as it was sent`;
    this.#fail(new PayloadTooLargeError(detail));
  }

  #endDecoded(decoder: Decoder): void {
    // Decoders silently stop at trailing bytes that are not theirs.
    if (decoder.bytesWritten === this.#encodedBytes) this.#settle()?.ended();
    else this.#fail(new InvalidRequestError(`there is more in the body than what ${this.#encoding} makes`));
  }

  #fail(error: HttpfstreamError): void {
    // A request whose connection breaks emits an error, too.
    if (this.#request.destroyed && !this.#request.readableEnded) this.#cut();
    else this.#settle()?.failed(error);
  }

  #cut(): void {
    this.#settle()?.cut();
  }

  #settle(): BodyReader | undefined {
    const reader = this.#reader;
    if (reader === undefined) return undefined;
    this.#reader = undefined;
    this.#request.off('timeout', this.#timeOut);
    if (!this.#request.socket.destroyed) limitIdle(this.#request.socket, 0);
    return reader;
  }

  #limitIdleTime(): void {
    limitIdle(this.#request.socket, this.#idleTimeoutMs);
    if (this.#idleTimeoutMs > 0) this.#request.off('timeout', this.#timeOut).on('timeout', this.#timeOut);
  }

  readonly #timeOut = (): void => {
    if (this.#source.isPaused()) return;
    const seconds = this.#idleTimeoutMs / 1000;
    this.#settle()?.failed(new BodyTimeoutError(`nothing came of the body for ${seconds} seconds`));
  };
}

/**
 * Reads a whole body into memory.
 *
 * @param options.maxBytes longest body, decoded
 * @param options.idleTimeoutMs longest time without a byte, in milliseconds
 * @param options.share of the memory for bodies; the caller releases it
 * @returns the body; undefined when the connection broke before its end
 * @throws {PayloadTooLargeError} when it is longer
 * @throws {UnsupportedEncodingError} when it is encoded in a way that is not known
 * @throws {InvalidRequestError} when it cannot be decoded
 * @throws {BodyTimeoutError} when nothing came for too long
 * @throws what {@link BodyShare.take} throws
 */
export async function collectBody(
  request: FastifyRequest,
  { maxBytes, idleTimeoutMs, share }: { maxBytes: number; idleTimeoutMs: number; share: BodyShare },
): Promise<Buffer | undefined> {
  const body = new RequestBody(request, { idleTimeoutMs });
  const tooLarge = () => new PayloadTooLargeError(`the body is longer than ${maxBytes} bytes`);
  if (Number(request.headers['content-length']) > maxBytes) throw tooLarge();
  const collected = new ByteQueue();
  return new Promise((resolve, reject) => {
    const fail = (error: HttpfstreamError) => {
      body.discard();
      collected.take();
      share.release();
      reject(error);
    };
    share.open(fail);
    body.read({
      take: (bytes) => {
        if (collected.length + bytes.length > maxBytes) fail(tooLarge());
        else if (share.take(bytes.length)) collected.push(bytes);
      },
      ended: () => {
        share.complete();
        const { length } = collected;
        resolve(Buffer.concat(collected.take().parts, length));
      },
      failed: fail,
      cut: () => resolve(undefined),
    });
  });
}

/**
 * @throws {UnsupportedEncodingError} when it is not known
 * @throws {UnsupportedTransferError} when the body is coded a second time, for its way
 */
function encodingOf({ headers }: IncomingMessage): string {
  assertTransferCoding(headers);
  const encoding = headers['content-encoding']?.trim().toLowerCase() ?? '';
  if (encoding === '' || encoding === 'identity' || Object.hasOwn(DECODERS, encoding)) return encoding;
  throw new UnsupportedEncodingError('the Content-Encoding must be gzip, deflate, br or identity');
}

/** @throws {UnsupportedTransferError} when a body is coded a second time, for its way */
export function assertTransferCoding({ 'transfer-encoding': coding = 'chunked' }: IncomingHttpHeaders): void {
  // Node decodes the last one only, and passes the others on.
  if (coding.trim().toLowerCase() === 'chunked') return;
  throw new UnsupportedTransferError('the Transfer-Encoding must be chunked');
}

/**
 * Checks that a handshake has no body, whose bytes would be taken for frames: Node
 * has handed over the connection and no longer checks any of this.
 *
 * @throws {UnsupportedTransferError} when a body is coded a second time, for its way
 * @throws {ExpectationFailedError} when it expects what nobody knows
 * @throws {InvalidRequestError} when it has a body
 */
export function assertNoBody(headers: IncomingHttpHeaders): void {
  assertTransferCoding(headers);
  if (!/^100-continue$/i.test(headers.expect ?? '100-continue')) {
    throw expectationFailed();
  }
  if (headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0) {
    throw new InvalidRequestError('a handshake has no body');
  }
}

/**
 * Checks that the end of a body is known: in HTTP/1.0 it may be the close of the
 * connection, which Node takes for no body.
 *
 * @throws {LengthRequiredError} when it cannot
 */
export function assertLength({ httpVersion, headers }: IncomingMessage): void {
  if (httpVersion !== '1.0' || headers['content-length'] !== undefined) return;
  if (headers['transfer-encoding'] === undefined)
    throw new LengthRequiredError('in HTTP/1.0 a body needs a Content-Length');
}
