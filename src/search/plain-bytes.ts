/** What each control sequence begins with. */
export const ESCAPE = 0x1b;

const LINE_FEED = 0x0a;
const BELL = 0x07;
const BACKSLASH = 0x5c;

/** What introduces a string that a terminal does not show: OSC, DCS, SOS, PM and APC. */
const STRINGS: ReadonlySet<number> = new Set([...']PX^_'].map((character) => character.charCodeAt(0)));

/** Longest string of these, in bytes: what is longer is shown. */
const MAX_STRING_BYTES = 4096;

/** So many bytes are copied one by one, which is faster than a call. */
const FEW_BYTES = 64;

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
  const runs = new Runs();
  let length = bytes.copy(plain, 0, 0, first);
  for (let at = first; at < bytes.length; ) {
    const start = sequencesEnd(bytes, at);
    runs.add(length, start - length);
    at = start;
    const few = Math.min(bytes.length, start + FEW_BYTES);
    for (; at < few && bytes[at] !== ESCAPE; at++) plain[length++] = bytes[at] as number;
    if (at < few) continue;
    const next = bytes.indexOf(ESCAPE, at);
    const end = next === -1 ? bytes.length : next;
    length += bytes.copy(plain, length, at, end);
    at = end;
  }
  return { bytes: plain.subarray(0, length), originOf: (index) => index + runs.removedBefore(index) };
}

/** Where, in what is plain, runs begin of bytes that were together, and how many bytes were taken out before each. */
class Runs {
  #starts: Int32Array = new Int32Array(1024);
  #removed: Int32Array = new Int32Array(1024);
  #count = 0;

  /** Behind the ones before. */
  add(start: number, removed: number): void {
    if (this.#count === this.#starts.length) {
      this.#starts = twice(this.#starts);
      this.#removed = twice(this.#removed);
    }
    this.#starts[this.#count] = start;
    this.#removed[this.#count++] = removed;
  }

  removedBefore(index: number): number {
    let low = -1;
    let high = this.#count - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.#starts[middle] as number) <= index) low = middle;
      else high = middle - 1;
    }
    return low === -1 ? 0 : (this.#removed[low] as number);
  }
}

function twice(numbers: Int32Array): Int32Array {
  const more = new Int32Array(2 * numbers.length);
  more.set(numbers);
  return more;
}

/** Where the control sequences are over that are at `start`, one behind the other; itself if there is none. */
export function sequencesEnd(bytes: Buffer, start: number): number {
  let at = start;
  while (bytes[at] === ESCAPE) at = sequenceEnd(bytes, at);
  return at;
}

/** Where what begins with an escape at `start` is over (ECMA-48). No line feed is in it. */
export function sequenceEnd(bytes: Buffer, start: number): number {
  const kind = bytes[start + 1] ?? 0;
  if (kind === 0x5b) return finalEnd(bytes, start + 2, 0x20, 0x3f);
  if (STRINGS.has(kind)) return stringEnd(bytes, start + 2);
  return finalEnd(bytes, start + 1, 0x20, 0x2f);
}

/** After what is between `low` and `high`, and the one that ends it, if that is there. */
function finalEnd(bytes: Buffer, start: number, low: number, high: number): number {
  let at = start;
  while (at < bytes.length && (bytes[at] as number) >= low && (bytes[at] as number) <= high) at++;
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
