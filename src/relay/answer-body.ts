import { UpstreamTimeoutError } from '../wire/errors.ts';

/** The body of an answer, which breaks when nothing comes for too long. */
export class AnswerBody {
  readonly response: Response;
  readonly #silence: AbortController;
  readonly #silenceMs: number;
  #reader: ReadableStreamDefaultReader<Uint8Array> | undefined;

  /**
   * @param silence aborts the request
   * @param silenceMs longest time without a byte, in milliseconds
   */
  constructor(response: Response, silence: AbortController, silenceMs: number) {
    this.response = response;
    this.#silence = silence;
    this.#silenceMs = silenceMs;
  }

  /** How many bytes it has, as it says. */
  get length(): number | undefined {
    const length = this.response.headers.get('content-length');
    return length === null ? undefined : Number(length);
  }

  /**
   * The next bytes; undefined at the end.
   *
   * @throws {UpstreamTimeoutError} when nothing comes for too long
   * @throws what breaks it
   */
  async read(): Promise<Buffer | undefined> {
    if (this.response.body === null) return undefined;
    this.#reader ??= this.response.body.getReader();
    const timer = setTimeout(
      () => this.#silence.abort(new UpstreamTimeoutError('the answer has stalled')),
      this.#silenceMs,
    );
    try {
      const { value } = await this.#reader.read();
      return value && Buffer.from(value.buffer, value.byteOffset, value.length);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Lets it go, with its connection if it has not ended. Never rejects. */
  async cancel(): Promise<void> {
    const cancelled =
      this.#reader?.cancel() ?? (this.response.bodyUsed ? undefined : this.response.body?.cancel());
    await cancelled?.catch(() => undefined);
  }
}
