import { isUtf8 } from 'node:buffer';
import { InvalidRequestError } from '../../wire/errors.ts';
import type { Turns } from '../node/requests/turns.ts';
import { JsonLines } from './json-lines.ts';

/** How much of a document is parsed in one turn of the event loop: a few milliseconds. */
const SLICE_BYTES = 128 * 1024;

const OPENING_BRACKET = 0x5b;
const CLOSING_BRACKET = 0x5d;
const COMMA = 0x2c;
const LINE_FEED = 0x0a;

/**
 * Lays out the values of a JSON document as they are stored, one a line: those of
 * an array, or the one that it is. They stay as they were written (numbers of any
 * size, keys that come twice), without the line ends between their tokens.
 *
 * @param document owned by this function from now on
 * @param turns in which a long one is parsed
 * @throws {InvalidRequestError} when it is not JSON in UTF-8, or nested too deeply
 */
export async function linesOfJson(document: Buffer, turns: Turns): Promise<Buffer> {
  if (!isUtf8(document)) throw new InvalidRequestError('the body is not JSON: it is not UTF-8');
  const json = new JsonLines(document);
  while (json.advance(SLICE_BYTES)) await turns.next();
  return json.lines();
}

/** The values in `lines`, as they are between the brackets of an array. */
export function itemsOfLines(lines: Buffer): Buffer {
  const isEnded = lines.at(-1) === LINE_FEED;
  const items = Buffer.from(isEnded ? lines.subarray(0, -1) : lines);
  commasForLineEnds(items);
  return items;
}

/** The array of the values in `lines`, which begin and end between two of them. */
export function arrayOfLines(lines: Buffer): Buffer {
  const array = Buffer.allocUnsafe(lines.length + 2);
  array[0] = OPENING_BRACKET;
  lines.copy(array, 1);
  commasForLineEnds(array.subarray(1, -1));
  // The last line end is the array's.
  const end = lines.at(-1) === LINE_FEED ? lines.length : lines.length + 1;
  array[end] = CLOSING_BRACKET;
  return array.subarray(0, end + 1);
}

/** Puts commas in place of line ends. */
export function commasForLineEnds(lines: Buffer): void {
  // Byte by byte: a search for each would take far longer where lines are short.
  for (let at = 0; at < lines.length; at++) {
    if (lines[at] === LINE_FEED) lines[at] = COMMA;
  }
}
