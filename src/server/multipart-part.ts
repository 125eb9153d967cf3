import type { BusboyFileStream } from '@fastify/busboy';
import { type HttpfstreamError, InvalidRequestError } from '../errors.ts';
import type { BodyReader, ByteSource } from './request-body.ts';

/** The bytes of one part of a form. */
export class MultipartPart implements ByteSource {
  readonly #stream: BusboyFileStream;
  #reader: BodyReader | undefined;
  /** What its reader is told when everything that has come is read, and the end of the part was not there. */
  #breakOff: ((reader: BodyReader) => void) | undefined;

  constructor(stream: BusboyFileStream) {
    this.#stream = stream;
    stream.on('error', (cause: unknown) =>
      this.fail(new InvalidRequestError('the form ends within a part', { cause })),
    );
  }

  read(reader: BodyReader): void {
    this.#reader = reader;
    this.#stream.once('end', () => this.#settle()?.ended());
    this.#stream.on('data', (bytes: Buffer) => {
      this.#reader?.take(bytes);
      this.#checkEnd();
    });
    this.#checkEnd();
  }

  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
    this.#checkEnd();
  }

  discard(): void {
    this.#reader = undefined;
    this.#stream.resume();
  }

  /** Tells that nothing more comes of it, if it is not complete, and why. */
  fail(error: HttpfstreamError): void {
    this.#breakOff ??= (reader) => reader.failed(error);
    this.#checkEnd();
  }

  /** Tells that the connection broke, if it is not complete. */
  cut(): void {
    this.#breakOff ??= (reader) => reader.cut();
    this.#checkEnd();
  }

  #checkEnd(): void {
    if (this.#breakOff === undefined || this.#reader === undefined) return;
    // Later than the end of the part, which comes by itself after its last byte.
    setImmediate(() => {
      if (this.#stream.isPaused() || this.#stream.readableLength > 0) return;
      const reader = this.#settle();
      if (reader !== undefined) this.#breakOff?.(reader);
    });
  }

  #settle(): BodyReader | undefined {
    const reader = this.#reader;
    this.#reader = undefined;
    return reader;
  }
}
