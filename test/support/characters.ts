import fc from 'fast-check';

const codePoint = fc.oneof(
  fc.integer({ min: 0, max: 0x7f }),
  fc.integer({ min: 0x80, max: 0xd7ff }),
  fc.integer({ min: 0xe000, max: 0x10ffff }),
);

/** A character of Unicode, of one to four bytes. The library's own unit `binary` makes a table of all of them first. */
export const character = codePoint.map((point) => String.fromCodePoint(point));
