import { Readable } from 'node:stream';
import { answerSource, type Source } from '../body/source.ts';

/**
 * The body of an answer as a Node stream, without bytes when it has none. Destroying it cancels the body.
 *
 * @throws {InvalidSourceError} when it was read already
 */
export function readable(response: Response): Readable {
  return new SourceReadable(answerSource(response));
}

/** What a source makes, as a Node stream. Destroying it ends the source. */
export class SourceReadable extends Readable {
  readonly #source: Source;

  constructor(source: Source) {
    super();
    this.#source = source;
  }

  override _read(): void {
    this.#source.next().then(
      (chunk) => this.push(chunk ?? null),
      (error) => this.destroy(error),
    );
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#source.end(error);
    callback(error);
  }
}
