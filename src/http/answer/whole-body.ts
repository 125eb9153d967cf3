import { answerLength } from '../body/body.ts';
import { answerSource } from '../body/source.ts';
import { type Problem, StatusError, TooLargeError } from '../errors.ts';

export interface WholeOptions {
  /** Default 16 MiB. A longer body is cancelled, and throws {@link TooLargeError}. */
  maxBytes?: number;
}

const MAX_BYTES = 16 * 1024 * 1024;

/**
 * The body of an answer.
 *
 * @throws {TooLargeError} when it is longer than `maxBytes`, decoded; {@link InvalidSourceError} when it was read
 *   already; what it breaks with
 */
export async function bytes(
  response: Response,
  { maxBytes = MAX_BYTES }: WholeOptions = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const tooLarge = () => new TooLargeError(`the answer is longer than ${maxBytes} bytes`, maxBytes);
  if ((answerLength(response) ?? 0) > maxBytes && response.body !== null) {
    answerSource(response).end(undefined);
    throw tooLarge();
  }
  const { beginning, isWhole } = await beginningOf(response, maxBytes);
  if (!isWhole) throw tooLarge();
  return beginning;
}

/** The body of an answer as text, of which a byte order mark is no part. The same bound. */
export async function text(response: Response, options?: WholeOptions): Promise<string> {
  return new TextDecoder().decode(await bytes(response, options));
}

/**
 * The value that the body of an answer has as JSON. The same bound.
 *
 * @throws {SyntaxError} when it is not JSON
 */
export async function json<T = unknown>(response: Response, options?: WholeOptions): Promise<T> {
  return JSON.parse(await text(response, options));
}

/** What a body begins with; the rest is cancelled. */
export async function beginningOf(
  response: Response,
  maxBytes: number,
): Promise<{ beginning: Uint8Array<ArrayBuffer>; isWhole: boolean }> {
  const collected = new CollectedBytes();
  for await (const chunk of chunksOf(response)) {
    const restBytes = maxBytes - collected.length;
    if (chunk.length <= restBytes) {
      collected.append(chunk);
    } else {
      collected.append(chunk.subarray(0, restBytes));
      return { beginning: collected.take(), isWhole: false };
    }
  }
  return { beginning: collected.take(), isWhole: true };
}

const MAX_ERROR_BYTES = 65_536;

/** How much of an answer a message quotes, in characters. */
const QUOTED_LENGTH = 200;

/** How long an error may take to say what is wrong, in milliseconds. */
const ERROR_TIMEOUT_MS = 5000;

/**
 * Gives the answer back if its status is 2xx.
 *
 * @throws {StatusError} with what it says, if it is not: the first 64 KiB, as far as they come within 5 s; the rest is
 *   cancelled
 */
export async function ok(response: Response): Promise<Response> {
  if (response.ok) return response;
  const { status } = response;
  const text = new TextDecoder().decode(await saidBy(response));
  const problem = problemOf(response, text);
  const words = problem?.detail ?? problem?.title ?? text;
  const quoted = String(words).trim().slice(0, QUOTED_LENGTH);
  throw new StatusError(`HTTP status ${status}${quoted === '' ? '' : `: ${quoted}`}`, status, text, problem);
}

/** What an error says. A body that breaks, never ends, or was read by others, does not hide the status. */
async function saidBy(response: Response): Promise<Uint8Array> {
  const said = new CollectedBytes();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timeout = new Promise<'late'>((resolve) => {
    timer = setTimeout(resolve, ERROR_TIMEOUT_MS, 'late');
  });
  try {
    const source = answerSource(response);
    let chunk: Uint8Array | 'late' | undefined;
    do {
      chunk = await Promise.race([source.next(), timeout]);
      if (chunk instanceof Uint8Array) said.append(chunk.subarray(0, MAX_ERROR_BYTES - said.length));
    } while (chunk instanceof Uint8Array && said.length < MAX_ERROR_BYTES);
    if (chunk !== undefined) source.end(undefined);
  } catch {
    // What has come of it is told all the same.
  }
  clearTimeout(timer);
  return said.take();
}

function problemOf({ headers }: Response, text: string): Problem | undefined {
  if (!/^application\/problem\+json\b/i.test(headers.get('content-type') ?? '')) return undefined;
  try {
    const value = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/**
 * The chunks of an answer's body, none when it has none. Who leaves the loop cancels the body.
 *
 * @throws {InvalidSourceError} when it was read already; what the body breaks with
 */
export async function* chunksOf(response: Response): AsyncGenerator<Uint8Array> {
  const source = answerSource(response);
  let isOver = false;
  try {
    for (;;) {
      // What breaks is over, too.
      isOver = true;
      const chunk = await source.next();
      if (chunk === undefined) return;
      isOver = false;
      yield chunk;
    }
  } finally {
    if (!isOver) source.end(undefined);
  }
}

/** Bytes that are gathered, however small their chunks are. */
export class CollectedBytes {
  #bytes = new Uint8Array();
  #length = 0;

  get length(): number {
    return this.#length;
  }

  append(chunk: Uint8Array): void {
    const length = this.#length + chunk.length;
    if (length > this.#bytes.length) {
      // Doubled, so that many small chunks are not copied each time.
      const larger = new Uint8Array(Math.max(length, this.#length === 0 ? 0 : 2 * this.#bytes.length));
      larger.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = larger;
    }
    this.#bytes.set(chunk, this.#length);
    this.#length = length;
  }

  /** All of them, in memory of their own; there are none left. */
  take(): Uint8Array<ArrayBuffer> {
    const bytes = this.#length === this.#bytes.length ? this.#bytes : this.#bytes.slice(0, this.#length);
    this.#bytes = new Uint8Array();
    this.#length = 0;
    return bytes;
  }
}
