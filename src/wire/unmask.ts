import { createRequire } from 'node:module';

/**
 * Undoing the masking of client frames (RFC 6455, section 5.3). `phase` is how
 * many payload bytes of the frame came before.
 */

/** From this length on it is quicker to unmask words, and to move the bytes by themselves. */
const MANY_BYTES = 48;

const NO_WORDS = new Uint32Array(0);

/** What {@link rotated} has made, as a word in the order of this machine, … */
const rotatedWord = new Uint32Array(1);
/** … and as bytes. */
const rotatedBytes = new Uint8Array(rotatedWord.buffer);

/** Unmasks `bytes` in place. For long payloads. */
export const unmaskInPlace = nativeUnmask() ?? unmaskWords;

/** The native code of `bufferutil`, if that is installed, as ws does it. */
function nativeUnmask(): typeof unmaskWords | undefined {
  try {
    const { unmask } = createRequire(import.meta.url)('bufferutil') as typeof import('bufferutil');
    return (bytes, mask, phase) => unmask(bytes, phase % 4 === 0 ? mask : rotated(mask, phase));
  } catch {
    return undefined;
  }
}

/** Unmasks `bytes` in place, four at a time. */
export function unmaskWords(bytes: Uint8Array, mask: Uint8Array, phase: number): void {
  unmaskRange(bytes, wordsOf(bytes), 0, bytes.length, mask, phase);
}

/** The words in `bytes`: those that are aligned, and within them. */
export function wordsOf({ buffer, byteOffset, length }: Uint8Array): Uint32Array {
  const first = -byteOffset & 3;
  return length < first + 4 ? NO_WORDS : new Uint32Array(buffer, byteOffset + first, (length - first) >> 2);
}

/** Unmasks `bytes[from, to)` in place, as far as it goes four at a time. `words` are those of `bytes`. */
function unmaskRange(
  bytes: Uint8Array,
  words: Uint32Array,
  from: number,
  to: number,
  mask: Uint8Array,
  phase: number,
): void {
  const aligned = -bytes.byteOffset & 3;
  const first = Math.min(to, from + ((aligned - from) & 3));
  const last = first + ((to - first) & ~3);
  unmaskDown(bytes, from, first, from, mask, phase);
  rotated(mask, phase + first - from);
  const word = rotatedWord[0]!;
  const end = (last - aligned) >> 2;
  for (let i = (first - aligned) >> 2; i < end; i++) words[i]! ^= word;
  unmaskDown(bytes, last, to, last, mask, phase + last - from);
}

/** The mask for payload that begins `phase` bytes later. Good until the next one is asked for. */
function rotated(mask: Uint8Array, phase: number): Uint8Array {
  for (let i = 0; i < 4; i++) rotatedBytes[i] = mask[(phase + i) & 3]!;
  return rotatedBytes;
}

/**
 * Moves `bytes[from, to)` down to `target`, at or before `from`, and unmasks it on
 * the way. For short payloads, which are merged that way.
 *
 * @param words those of `bytes`, if they are at hand: long ones are unmasked where they are, and moved then
 */
export function unmaskDown(
  bytes: Uint8Array,
  from: number,
  to: number,
  target: number,
  mask: Uint8Array,
  phase: number,
  words?: Uint32Array,
): void {
  if (words !== undefined && to - from >= MANY_BYTES) {
    unmaskRange(bytes, words, from, to, mask, phase);
    bytes.copyWithin(target, from, to);
    return;
  }
  const k0 = mask[phase & 3]!;
  const k1 = mask[(phase + 1) & 3]!;
  const k2 = mask[(phase + 2) & 3]!;
  const k3 = mask[(phase + 3) & 3]!;
  let at = from;
  let out = target;
  for (; at + 4 <= to; at += 4, out += 4) {
    bytes[out] = bytes[at]! ^ k0;
    bytes[out + 1] = bytes[at + 1]! ^ k1;
    bytes[out + 2] = bytes[at + 2]! ^ k2;
    bytes[out + 3] = bytes[at + 3]! ^ k3;
  }
  if (at < to) bytes[out] = bytes[at]! ^ k0;
  if (at + 1 < to) bytes[out + 1] = bytes[at + 1]! ^ k1;
  if (at + 2 < to) bytes[out + 2] = bytes[at + 2]! ^ k2;
}
