import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import zlib from 'node:zlib';
import type { FastifyRequest } from 'fastify';
import {
  AppendBusyError,
  BodyTimeoutError,
  type HttpfstreamError,
  InvalidRequestError,
  PayloadTooLargeError,
  UnsupportedEncodingError,
  UnsupportedTransferError,
} from '../errors.ts';
import type { ByteBudget } from './byte-budget.ts';

/** Who takes the bytes of a {@link ByteSource}. Of `ended`, `failed` and `cut` one is called, once, last. */
export interface BodyReader {
  /** Takes bytes, which are its own from now on. */
  take(bytes: Buffer): void;
  /** Called when that was everything. */
  ended(): void;
  /** Called when what came is not what it must be. The connection may still be there. */
  failed(error: HttpfstreamError): void;
  /** Called when the connection broke before the end. */
  cut(): void;
}

/** Bytes from a client, in order. */
export interface ByteSource {
  /** Begins to give them away. To be called once. */
  read(reader: BodyReader): void;
  pause(): void;
  resume(): void;
  /** Drops what is still to come; the reader is not called any more. */
  discard(): void;
}

type Decoder = zlib.Gunzip | zlib.Inflate | zlib.BrotliDecompress;

const DECODERS: Readonly<Record<string, () => Decoder>> = {
  gzip: () => zlib.createGunzip(),
  'x-gzip': () => zlib.createGunzip(),
  deflate: () => zlib.createInflate(),
  br: () => zlib.createBrotliDecompress(),
};

/** The body of a request, as it comes, with its `Content-Encoding` undone. */
export class RequestBody implements ByteSource {
  readonly #request: IncomingMessage;
  /** The request, or what an application's hooks made of it. */
  readonly #raw: Readable;
  readonly #encoding: string;
  readonly #idleTimeoutMs: number;
  #decoder: Decoder | undefined;
  #encodedBytes = 0;
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
    raw.on('error', (cause) => this.#fail('the body cannot be read', cause));
    if (raw.destroyed && !raw.readableEnded) {
      this.#cut();
      return;
    }
    raw.once('close', () => {
      if (!raw.readableEnded) this.#cut();
    });
    this.#limitIdleTime();
    this.#decoder = DECODERS[this.#encoding]?.();
    if (this.#decoder !== undefined) this.#decode(raw, this.#decoder);
    const source = this.#decoder ?? raw;
    source.on('data', (bytes: Buffer) => this.#reader?.take(bytes));
    source.once('end', () => this.#end());
  }

  pause(): void {
    this.#source.pause();
  }

  resume(): void {
    this.#limitIdleTime();
    this.#source.resume();
  }

  discard(): void {
    this.#reader = undefined;
    this.#settle();
    if (this.#decoder !== undefined) {
      this.#raw.unpipe(this.#decoder);
      this.#decoder.destroy();
    }
    this.#raw.resume();
  }

  get #source(): Readable {
    return this.#decoder ?? this.#raw;
  }

  #decode(raw: Readable, decoder: Decoder): void {
    raw.on('data', (bytes: Buffer) => {
      this.#encodedBytes += bytes.length;
    });
    decoder.once('error', (cause) => this.#fail(`the body is not what ${this.#encoding} makes`, cause));
    raw.pipe(decoder);
  }

  #end(): void {
    // Decoders stop without a word at what is not theirs.
    if (this.#decoder !== undefined && this.#decoder.bytesWritten !== this.#encodedBytes) {
      this.#fail(`there is more in the body than what ${this.#encoding} makes`);
      return;
    }
    this.#settle()?.ended();
  }

  #fail(message: string, cause?: unknown): void {
    // A request that is cut has an error, too.
    if (this.#request.destroyed && !this.#request.readableEnded) this.#cut();
    else this.#settle()?.failed(new InvalidRequestError(message, { cause }));
  }

  #cut(): void {
    this.#settle()?.cut();
  }

  #settle(): BodyReader | undefined {
    const reader = this.#reader;
    this.#reader = undefined;
    this.#request.off('timeout', this.#timeOut);
    if (!this.#request.socket.destroyed) this.#request.socket.setTimeout(0);
    return reader;
  }

  #limitIdleTime(): void {
    this.#request.socket.setTimeout(this.#idleTimeoutMs);
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
 * @param options.budget of which the body takes its length; the caller gives that back
 * @returns the body; undefined when the connection broke before its end
 * @throws {AppendBusyError} when the budget is used up
 * @throws {PayloadTooLargeError} when it is longer
 * @throws {BodyTimeoutError} when nothing came for too long
 * @throws {UnsupportedEncodingError} when it is encoded in a way that is not known
 * @throws {InvalidRequestError} when it cannot be decoded
 */
export async function collectBody(
  request: FastifyRequest,
  { maxBytes, idleTimeoutMs, budget }: { maxBytes: number; idleTimeoutMs: number; budget: ByteBudget },
): Promise<Buffer | undefined> {
  const body = new RequestBody(request, { idleTimeoutMs });
  const tooLarge = () => new PayloadTooLargeError(`the body is longer than ${maxBytes} bytes`);
  if (Number(request.headers['content-length']) > maxBytes) throw tooLarge();
  const chunks: Buffer[] = [];
  let size = 0;
  return new Promise((resolve, reject) => {
    const fail = (error: HttpfstreamError) => {
      budget.giveBack(size);
      body.discard();
      reject(error);
    };
    body.read({
      take: (bytes) => {
        if (size + bytes.length > maxBytes) return fail(tooLarge());
        if (!budget.take(bytes.length)) return fail(new AppendBusyError('too many bodies are under way'));
        size += bytes.length;
        chunks.push(bytes);
      },
      ended: () => resolve(Buffer.concat(chunks, size)),
      failed: fail,
      cut: () => {
        budget.giveBack(size);
        resolve(undefined);
      },
    });
  });
}

/**
 * @throws {UnsupportedEncodingError} when it is not known
 * @throws {UnsupportedTransferError} when the body is coded a second time, for its way
 */
function encodingOf({ headers }: IncomingMessage): string {
  // Node undoes the last one, and lets the others pass.
  if ((headers['transfer-encoding'] ?? 'chunked').trim().toLowerCase() !== 'chunked') {
    throw new UnsupportedTransferError('the Transfer-Encoding must be chunked');
  }
  const encoding = headers['content-encoding']?.trim().toLowerCase() ?? '';
  if (encoding === '' || encoding === 'identity' || Object.hasOwn(DECODERS, encoding)) return encoding;
  throw new UnsupportedEncodingError('the Content-Encoding must be gzip, deflate, br or identity');
}
