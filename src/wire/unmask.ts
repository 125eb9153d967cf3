import { createRequire } from 'node:module';

/**
 * Undoing the masking of client frames (RFC 6455, section 5.3). `phase` is how
 * many payload bytes of the frame came before.
 */

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
  const { buffer, byteOffset, length } = bytes;
  // Words must be aligned.
  const first = -byteOffset & 3;
  if (length < first + 4) {
    unmaskDown(bytes, 0, length, 0, mask, phase);
    return;
  }
  const words = new Uint32Array(buffer, byteOffset + first, (length - first) >> 2);
  const last = first + words.length * 4;
  const [word = 0] = new Uint32Array(rotated(mask, phase + first).buffer);
  for (let i = 0; i < words.length; i++) words[i]! ^= word;
  unmaskDown(bytes, 0, first, 0, mask, phase);
  unmaskDown(bytes, last, length, last, mask, phase + last);
}

/** The mask for payload that begins `phase` bytes later. */
function rotated(mask: Uint8Array, phase: number): Uint8Array {
  return Uint8Array.of(
    mask[phase & 3]!,
    mask[(phase + 1) & 3]!,
    mask[(phase + 2) & 3]!,
    mask[(phase + 3) & 3]!,
  );
}

/**
 * Moves `bytes[from, to)` down to `target`, at or before `from`, and unmasks it on
 * the way. For short payloads, which are merged that way.
 */
export function unmaskDown(
  bytes: Uint8Array,
  from: number,
  to: number,
  target: number,
  mask: Uint8Array,
  phase: number,
): void {
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
