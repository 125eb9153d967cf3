import { isContinuation } from './utf8.ts';

/** A line that goes on longer than this is cut, at multiples of this in the resource. */
export const PSEUDO_LINE_BYTES = 65_536;

/** How far behind such a multiple the cut may be, so that what is drawn over by the next CR is not torn. */
const CUT_REACH = 1024;

const LF = 0x0a;
const CR = 0x0d;

/**
 * Where lines without LF are cut in these bytes: positions in the resource, ascending.
 * Whether there is a cut depends on the 64 KiB before it and the 1,024 bytes after it alone, so that
 * every window finds the same ones: there is one at each multiple of 64 KiB that has no LF in the
 * 63 KiB before. It is behind the next CR if one is near (progress that is drawn over
 * and over), and never inside a character.
 *
 * @param at position of the first byte, where a line or a pseudo-line begins
 */
export function cutsIn(bytes: Uint8Array, at: number): number[] {
  const cuts: number[] = [];
  const end = at + bytes.length;
  const first = Math.ceil((at + PSEUDO_LINE_BYTES - CUT_REACH) / PSEUDO_LINE_BYTES) * PSEUDO_LINE_BYTES;
  for (let multiple = first; multiple < end; multiple += PSEUDO_LINE_BYTES) {
    const index = multiple - at;
    const checked = index - PSEUDO_LINE_BYTES + CUT_REACH;
    if (bytes.subarray(checked, index).lastIndexOf(LF) === -1) cuts.push(at + cutNear(bytes, index));
  }
  return cuts;
}

/**
 * The last position at or before `position` at which a row begins for certain: behind an LF, at a cut,
 * or at 0. Undefined if these bytes do not tell; the 128 KiB before `position` and the 1,024 bytes behind it always do.
 *
 * @param at position of the first byte, which may be anywhere
 */
export function rowStartBefore(bytes: Uint8Array, at: number, position: number): number | undefined {
  const before = bytes.subarray(0, position - at);
  const lineStart = before.lastIndexOf(LF) + 1;
  const cut = cutsIn(bytes.subarray(lineStart), at + lineStart).findLast((start) => start <= position);
  if (cut !== undefined) return cut;
  return lineStart > 0 || at === 0 ? at + lineStart : undefined;
}

function cutNear(bytes: Uint8Array, index: number): number {
  for (let i = index; i < index + CUT_REACH && i < bytes.length && bytes[i] !== LF; i++) {
    if (bytes[i] === CR && bytes[i + 1] !== LF) return i + 1;
  }
  let start = index;
  while (start < index + 3 && start < bytes.length && isContinuation(bytes[start]!)) start++;
  return start;
}
