import { isUtf8 } from 'node:buffer';

/** Longest encoding of a character in UTF-8. */
const MAX_CHARACTER_BYTES = 4;

const NOTHING = Buffer.alloc(0);

/**
 * How many bytes at the end of `bytes` are the beginning of a UTF-8 character
 * of which the rest is missing: 0 to 3.
 *
 * @param end where the bytes end that are looked at. Default: with the last
 */
export function cutCharacterBytes(bytes: Uint8Array, end = bytes.length): number {
  for (let count = 1; count < MAX_CHARACTER_BYTES && count <= end; count++) {
    const byte = bytes[end - count] as number;
    // Others go on with a character.
    if ((byte & 0xc0) !== 0x80) return characterBytes(byte) > count ? count : 0;
  }
  return 0;
}

/**
 * The beginning of a character at the end of a text that goes on `before` and
 * then in `parts`; nothing where the last part is no UTF-8.
 *
 * @param before what {@link cutCharacter} found the last time
 */
export function cutCharacter(before: Buffer, parts: readonly Buffer[]): Buffer {
  const last = parts.at(-1) as Buffer;
  const end = last.length < MAX_CHARACTER_BYTES ? lastBytes([before, ...parts]) : last;
  const count = cutCharacterBytes(end);
  if (count === 0 || !isText(end.subarray(0, -count))) return NOTHING;
  return Buffer.from(end.subarray(-count));
}

/** The parts without as many bytes at their end. */
export function withoutLast(parts: readonly Buffer[], bytes: number): Buffer[] {
  const left = [...parts];
  for (let surplus = bytes; surplus > 0; ) {
    const last = left.pop();
    if (last === undefined) break;
    if (last.length > surplus) left.push(last.subarray(0, -surplus));
    surplus -= last.length;
  }
  return left;
}

function characterBytes(lead: number): number {
  if (lead >= 0xc2 && lead < 0xe0) return 2;
  if (lead >= 0xe0 && lead < 0xf0) return 3;
  return lead >= 0xf0 && lead < 0xf5 ? 4 : 1;
}

/** A copy of what `parts` end with, of as many bytes as a character may have at least, if there are so many. */
export function lastBytes(parts: readonly Buffer[]): Buffer {
  const last: Buffer[] = [];
  let bytes = 0;
  for (let i = parts.length - 1; i >= 0 && bytes < MAX_CHARACTER_BYTES; i--) {
    const part = (parts[i] as Buffer).subarray(-MAX_CHARACTER_BYTES);
    last.unshift(part);
    bytes += part.length;
  }
  return Buffer.concat(last);
}

/** It may begin within a character. */
function isText(bytes: Buffer): boolean {
  let start = 0;
  while (start < MAX_CHARACTER_BYTES - 1 && ((bytes[start] ?? 0) & 0xc0) === 0x80) start++;
  return isUtf8(bytes.subarray(start));
}
