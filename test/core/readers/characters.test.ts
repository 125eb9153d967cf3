import { isUtf8 } from 'node:buffer';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { cutCharacter, cutCharacterBytes, withoutLast } from '../../../src/core/readers/characters.ts';
import { character } from '../../support/characters.ts';

const NOTHING = Buffer.alloc(0);
const text = fc.string({ unit: character, minLength: 1, maxLength: 12 }).map((string) => Buffer.from(string));

describe('the beginning of a character at the end', () => {
  test('is found wherever a text is cut, and nothing else is', () => {
    fc.assert(
      fc.property(text, fc.nat(), (bytes, seed) => {
        const cut = bytes.subarray(0, seed % (bytes.length + 1));
        const count = cutCharacterBytes(cut);
        expect(isUtf8(cut.subarray(0, cut.length - count))).toBe(true);
        // It is the shortest that will do.
        if (count > 0) expect(isUtf8(cut)).toBe(false);
      }),
    );
  });

  test.each([
    ['ASCII', [0x41], 0],
    ['a whole character', [0xc3, 0xa4], 0],
    ['the first of two bytes', [0x41, 0xc3], 1],
    ['two of three bytes', [0xe2, 0x82], 2],
    ['three of four bytes', [0xf0, 0x9f, 0x98], 3],
    ['bytes that only go on', [0x80, 0x80, 0x80], 0],
    ['a byte that begins nothing', [0xff], 0],
    ['an overlong beginning', [0xc0], 0],
    ['nothing', [], 0],
  ])('%s: %j', (_, bytes, expected) => {
    expect(cutCharacterBytes(Uint8Array.from(bytes))).toBe(expected);
  });

  test('is found over parts, however small', () => {
    const smile = Buffer.from('😀');
    let cut: Buffer = NOTHING;
    for (let i = 0; i < 3; i++) {
      cut = cutCharacter(cut, [smile.subarray(i, i + 1)]);
      expect(cut).toEqual(smile.subarray(0, i + 1));
    }
    expect(cutCharacter(cut, [smile.subarray(3)])).toHaveLength(0);
    expect(cutCharacter(NOTHING, [smile.subarray(0, 1), smile.subarray(1, 2)])).toEqual(smile.subarray(0, 2));
  });

  test('does not exist where the bytes before it are no UTF-8', () => {
    expect(cutCharacter(NOTHING, [Buffer.from([0x41, 0xff, 0x41, 0x41, 0xc3])])).toHaveLength(0);
    // A part may begin within a character.
    expect(cutCharacter(NOTHING, [Buffer.from([0x98, 0x80, 0x41, 0x41, 0xc3])])).toHaveLength(1);
  });
});

test('parts without their last bytes', () => {
  const parts = ['ab', 'c', 'de'].map((part) => Buffer.from(part));
  for (let bytes = 0; bytes <= 5; bytes++) {
    expect(Buffer.concat(withoutLast(parts, bytes)).toString()).toBe('abcde'.slice(0, 5 - bytes));
  }
});
