import { answerLength } from '../body/body.ts';
import { answerSource } from '../body/source.ts';
import { CollectedBytes } from '../collected-bytes.ts';
import { TooLargeError } from '../errors.ts';
import { chunksOf } from './chunks.ts';

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
