import fc from 'fast-check';

/**
 * Any character that UTF-8 has, as the `unit` of strings: what fast-check calls `binary`, for which it makes a table of
 * a million entries first, which takes a second.
 */
export const anyCharacter: fc.Arbitrary<string> = fc
  .oneof(fc.integer({ max: 0xd7ff, min: 0 }), fc.integer({ min: 0xe000, max: 0x10ffff }))
  .map((codePoint) => String.fromCodePoint(codePoint));
