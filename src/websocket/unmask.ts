import { createRequire } from 'node:module';

/**
 * Undoing the masking of client frames (RFC 6455, section 5.3). `phase` is how
 * many payload bytes of the frame came before.
 */

type Unmask = (bytes: Uint8Array, mask: Uint8Array) => void;

/** From native code where that could be installed, as ws does. */
const unmask = nativeUnmask() ?? ((bytes, mask) => unmaskDown(bytes, 0, bytes.length, 0, mask, 0));

/** Not by an import, for which `require` of this package could not wait. */
function nativeUnmask(): Unmask | undefined {
  try {
    return createRequire(import.meta.url)('bufferutil').unmask;
  } catch {
    return undefined;
  }
}

/** Unmasks `bytes` in place. For long payloads. */
export function unmaskInPlace(bytes: Uint8Array, mask: Uint8Array, phase: number): void {
  unmask(bytes, phase % 4 === 0 ? mask : mask.map((_, i) => mask[(phase + i) & 3]!));
}

/**
 * Moves `bytes[from, to)` down to `target`, at or before `from`, and unmasks it
 * on the way. For short payloads, which become one run that way.
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
