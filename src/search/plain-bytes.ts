const ESCAPE = 0x1b;
const LINE_FEED = 0x0a;
const BELL = 0x07;
const BACKSLASH = 0x5c;

/** What introduces a string that a terminal does not show: OSC, DCS, SOS, PM and APC. */
const STRINGS: ReadonlySet<number> = new Set([...']PX^_'].map((character) => character.charCodeAt(0)));

/** Longest string of these, in bytes: what is longer is shown. */
const MAX_STRING_BYTES = 4096;

/** Bytes as a terminal shows them: without colours, links and the like, which may be inside words. */
export interface PlainBytes {
  bytes: Buffer;
  /** Where a byte of them is in what they were made of. */
  originOf(index: number): number;
}

/** Takes control sequences out. What has none is not copied. */
export function plainBytes(bytes: Buffer): PlainBytes {
  const first = bytes.indexOf(ESCAPE);
  if (first === -1) return { bytes, originOf: (index) => index };
  const plain = Buffer.allocUnsafe(bytes.length);
  // Where, in what is plain, another run begins, and how many bytes were taken out before it.
  const starts = [0];
  const removed = [0];
  let length = bytes.copy(plain, 0, 0, first);
  for (let at = first; at !== -1; ) {
    const end = sequenceEnd(bytes, at);
    const next = bytes.indexOf(ESCAPE, end);
    if (length > (starts.at(-1) as number)) {
      starts.push(length);
      removed.push(end - length);
    } else removed[removed.length - 1] = end - length;
    length += bytes.copy(plain, length, end, next === -1 ? bytes.length : next);
    at = next;
  }
  return {
    bytes: plain.subarray(0, length),
    originOf: (index) => index + (removed[runOf(starts, index)] as number),
  };
}

/** The last one that begins at `index` or before. */
function runOf(starts: readonly number[], index: number): number {
  let low = 0;
  let high = starts.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((starts[middle] as number) <= index) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** Where what begins with an escape at `start` is over (ECMA-48). */
function sequenceEnd(bytes: Buffer, start: number): number {
  const kind = bytes[start + 1] ?? 0;
  if (kind === 0x5b) return finalEnd(bytes, start + 2, 0x20, 0x3f);
  if (STRINGS.has(kind)) return stringEnd(bytes, start + 2);
  return finalEnd(bytes, start + 1, 0x20, 0x2f);
}

/** After what is between `low` and `high`, and the one that ends it, if that is there. */
function finalEnd(bytes: Buffer, start: number, low: number, high: number): number {
  let at = start;
  const isBetween = (byte: number | undefined) => byte !== undefined && byte >= low && byte <= high;
  while (isBetween(bytes[at])) at++;
  const last = bytes[at] ?? 0;
  return last > high && last < 0x7f ? at + 1 : at;
}

function stringEnd(bytes: Buffer, start: number): number {
  for (let at = start; at < Math.min(bytes.length, start + MAX_STRING_BYTES); at++) {
    const byte = bytes[at];
    if (byte === BELL) return at + 1;
    if (byte === ESCAPE) return bytes[at + 1] === BACKSLASH ? at + 2 : at;
    if (byte === LINE_FEED) break;
  }
  return start;
}
