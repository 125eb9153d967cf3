/**
 * How many bytes the well-formed UTF-8 sequence at `index` has (1 to 4), or 0 if what is
 * there is not one: too long, a surrogate, above U+10FFFF, cut off.
 */
export function sequenceLength(bytes: Uint8Array, index: number, end: number): number {
  const lead = bytes[index]!;
  if (lead < 0x80) return 1;
  const length = lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
  if (length === 0 || index + length > end) return 0;
  const second = bytes[index + 1]!;
  const lowest = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
  const highest = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
  if (second < lowest || second > highest) return 0;
  for (let i = 2; i < length; i++) {
    if (!isContinuation(bytes[index + i]!)) return 0;
  }
  return length;
}

/** Tells whether a byte can only stand inside a sequence. */
export function isContinuation(byte: number): boolean {
  return (byte & 0xc0) === 0x80;
}

/**
 * The code point of the well-formed sequence of two or three bytes at `index` if it is one
 * that must not act unseen: C1 controls, what reorders text (bidi), what ends lines.
 */
export function hiddenCodePoint(bytes: Uint8Array, index: number): number | undefined {
  const lead = bytes[index]!;
  if (lead !== 0xe2 && lead !== 0xc2 && lead !== 0xd8) return undefined;
  const second = bytes[index + 1]!;
  const codePoint =
    lead === 0xe2
      ? 0x2000 | ((second & 0x3f) << 6) | (bytes[index + 2]! & 0x3f)
      : ((lead & 0x1f) << 6) | (second & 0x3f);
  return isHidden(codePoint) ? codePoint : undefined;
}

function isHidden(codePoint: number): boolean {
  return (
    codePoint <= 0x9f ||
    codePoint === 0x61c ||
    codePoint === 0x200e ||
    codePoint === 0x200f ||
    (codePoint >= 0x2028 && codePoint <= 0x202e) ||
    (codePoint >= 0x2066 && codePoint <= 0x2069)
  );
}
