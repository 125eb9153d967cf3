import { Readable } from 'node:stream';

/** The body of an answer as a Node stream, without bytes when it has none. Destroying it cancels the body. */
export function readable(response: Response): Readable {
  return response.body === null ? Readable.from([]) : new BodyReadable(response.body);
}

class BodyReadable extends Readable {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  #isOver = false;

  constructor(body: ReadableStream<Uint8Array>) {
    super();
    this.#reader = body.getReader();
  }

  override _read(): void {
    this.#reader.read().then(
      ({ done, value }) => {
        this.#isOver = done;
        this.push(done ? null : value);
      },
      (error) => {
        this.#isOver = true;
        this.destroy(error);
      },
    );
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    // It may break while it is cancelled.
    if (!this.#isOver) this.#reader.cancel(error ?? undefined).catch(() => {});
    callback(error);
  }
}
