import { InvalidRequestError } from '../../errors.ts';

const OPENING_BRACKET = 0x5b;
const CLOSING_BRACKET = 0x5d;
const OPENING_BRACE = 0x7b;
const CLOSING_BRACE = 0x7d;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const SPACE = 0x20;
const TAB = 0x09;

const NEWLINE = Buffer.from('\n');
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Takes the values of a JSON document to be stored, one a line: those of an
 * array, or the one that it is. They stay as they were written (numbers of any
 * size, keys that come twice), without the line ends between their tokens.
 *
 * @throws {InvalidRequestError} when it is not JSON in UTF-8
 */
export function linesOfJson(document: Buffer): Buffer {
  try {
    JSON.parse(UTF8.decode(document));
  } catch (cause) {
    throw new InvalidRequestError('the body is not JSON', { cause });
  }
  const whole = trim(document);
  const values = whole[0] === OPENING_BRACKET ? elementsOf(whole) : [whole];
  return Buffer.concat(values.flatMap((value) => [withoutLineEnds(trim(value)), NEWLINE]));
}

/** The elements of an array that is known to be well-formed, without the array in between. */
function elementsOf(array: Buffer): Buffer[] {
  const elements: Buffer[] = [];
  let depth = 0;
  let start = 1;
  for (let at = 0; at < array.length; at++) {
    const byte = array[at];
    if (byte === QUOTE) at = endOfString(array, at);
    else if (byte === OPENING_BRACKET || byte === OPENING_BRACE) depth++;
    else if (byte === CLOSING_BRACKET || byte === CLOSING_BRACE) depth--;
    else if (byte === COMMA && depth === 1) {
      elements.push(array.subarray(start, at));
      start = at + 1;
    }
  }
  const last = array.subarray(start, -1);
  return elements.length === 0 && trim(last).length === 0 ? [] : [...elements, last];
}

function endOfString(json: Buffer, start: number): number {
  let at = start + 1;
  while (json[at] !== QUOTE) at += json[at] === BACKSLASH ? 2 : 1;
  return at;
}

/** Within strings there are none: JSON has them escaped there. */
function withoutLineEnds(value: Buffer): Buffer {
  if (!value.includes(LINE_FEED) && !value.includes(CARRIAGE_RETURN)) return value;
  return value.filter((byte) => byte !== LINE_FEED && byte !== CARRIAGE_RETURN) as Buffer;
}

function trim(json: Buffer): Buffer {
  let start = 0;
  let end = json.length;
  while (start < end && isSpace(json[start])) start++;
  while (end > start && isSpace(json[end - 1])) end--;
  return json.subarray(start, end);
}

function isSpace(byte: number | undefined): boolean {
  return byte === SPACE || byte === TAB || byte === LINE_FEED || byte === CARRIAGE_RETURN;
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
  for (let at = lines.indexOf(LINE_FEED); at !== -1; at = lines.indexOf(LINE_FEED, at + 1)) {
    lines[at] = COMMA;
  }
}
