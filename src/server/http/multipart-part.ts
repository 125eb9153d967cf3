import type { BusboyFileStream } from '@fastify/busboy';
import { type HttpfstreamError, InvalidRequestError } from '../../wire/errors.ts';
import type { BodyReader, BodySource } from '../request/request-body.ts';

/** The bytes of one part of a form. */
export class MultipartPart implements BodySource {
  readonly #stream: BusboyFileStream;
  #reader: BodyReader | undefined;
  /** Whether its end has come, read or not. */
  #isWhole = false;
  /** What its reader gets instead of the end. */
  #breakOff: ((reader: BodyReader) => void) | undefined;

  constructor(stream: BusboyFileStream) {
    this.#stream = stream;
    // busboy ends a torn part as it ends a whole one, and does not always emit an error before that.
    const push = stream.push.bind(stream);
    stream.push = (bytes, encoding) => {
      if (bytes === null) this.#isWhole = true;
      return push(bytes, encoding);
    };
    stream.on('error', (cause: unknown) =>
      this.fail(new InvalidRequestError('the form ends within a part', { cause })),
    );
  }

  read(reader: BodyReader): void {
    this.#reader = reader;
    this.#stream.once('end', () => {
      if (this.#reader === undefined) return;
      if (this.#breakOff === undefined) this.#reader.ended();
      else this.#breakOff(this.#reader);
    });
    this.#stream.on('data', (bytes: Buffer) => this.#reader?.take(bytes));
  }

  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }

  discard(): void {
    this.#reader = undefined;
    this.#stream.resume();
  }

  /** Called when the next part has begun: this one is whole, though busboy ends it somewhat later. */
  succeed(): void {
    this.#isWhole = true;
  }

  /** Ends it with a failure, unless it is whole. */
  fail(error: HttpfstreamError): void {
    this.#end((reader) => reader.failed(error));
  }

  /** Ends it since the connection broke, unless it is whole. */
  cut(): void {
    this.#end((reader) => reader.cut());
  }

  /** What has come is read first. */
  #end(breakOff: (reader: BodyReader) => void): void {
    if (this.#isWhole) return;
    this.#breakOff = breakOff;
    this.#stream.push(null);
  }
}
