import { CollectedBytes } from '../collected-bytes.ts';
import { TooLargeError } from '../errors.ts';
import { chunksOf } from './chunks.ts';

export interface LinesOptions {
  /** Default 1 MiB. */
  maxLineBytes?: number;
}

const MAX_LINE_BYTES = 1024 * 1024;

const LF = 10;

/** UTF-8 has no character of more bytes for a UTF-16 unit. */
const MAX_BYTES_OF_UNIT = 3;

const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
const encoder = new TextEncoder();

/**
 * The lines of an answer, without their ends (LF or CRLF); the last one need not have one.
 * Who leaves the loop cancels the body.
 *
 * @throws {TooLargeError} for a longer line; what the body breaks with, and then its last line is not given
 */
export async function* lines(
  response: Response,
  { maxLineBytes = MAX_LINE_BYTES }: LinesOptions = {},
): AsyncGenerator<string> {
  for await (const block of blocks(response, maxLineBytes)) {
    for (const part of block.split('\n')) {
      const line = part.endsWith('\r') ? part.slice(0, -1) : part;
      if (exceeds(line, maxLineBytes)) throw tooLarge(maxLineBytes);
      yield line;
    }
  }
}

/**
 * The values of an answer that has one in each line, as JSON. Empty lines are left out.
 *
 * @throws {SyntaxError} for a line that is not JSON, and the errors of {@link lines}
 */
export async function* ndjson<T = unknown>(response: Response, options?: LinesOptions): AsyncGenerator<T> {
  for await (const line of lines(response, options)) {
    if (line.trim() !== '') yield JSON.parse(line);
  }
}

/** Whether a text has more bytes than `maxBytes`. */
export function exceeds(text: string, maxBytes: number): boolean {
  return text.length * MAX_BYTES_OF_UNIT > maxBytes && encoder.encode(text).length > maxBytes;
}

/** Texts that end where a line ends, without that end, and without a byte order mark at the beginning. */
async function* blocks(response: Response, maxLineBytes: number): AsyncGenerator<string> {
  const block = new CollectedBytes();
  let isFirst = true;
  const take = () => {
    const text = decoder.decode(block.take());
    const hasMark = isFirst && text.startsWith('\ufeff');
    isFirst = false;
    return hasMark ? text.slice(1) : text;
  };
  for await (const chunk of chunksOf(response)) {
    const end = chunk.lastIndexOf(LF);
    if (end !== -1) {
      block.append(chunk.subarray(0, end));
      yield take();
    }
    block.append(chunk.subarray(end + 1));
    // One more for a CR, which is no part of the line.
    if (block.length > maxLineBytes + 1) throw tooLarge(maxLineBytes);
  }
  const last = take();
  if (last !== '') yield last;
}

function tooLarge(maxLineBytes: number): TooLargeError {
  return new TooLargeError(`a line is longer than ${maxLineBytes} bytes`, maxLineBytes);
}
