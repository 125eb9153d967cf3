import { isUtf8 } from 'node:buffer';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { textEncoder } from '../../../src/server/websocket/dialects.ts';
import { character } from '../../support/characters.ts';
import { FrameReader, Op } from '../../support/original/frames.ts';

const MAX_BYTES = 8;
const MAX_SHORT_BYTES = 5;
const encode = textEncoder(MAX_BYTES, MAX_SHORT_BYTES);

const messagesOf = (parts: readonly Buffer[], isMerged = false) =>
  [...new FrameReader().read(Buffer.concat(encode(parts, isMerged)))].map(({ fin, opcode, payload }) => {
    expect({ fin, opcode }).toEqual({ fin: true, opcode: Op.text });
    expect(payload.length).toBeLessThanOrEqual(isMerged ? MAX_SHORT_BYTES : MAX_BYTES);
    return payload;
  });

test.each([
  ['as they came', false],
  ['merged', true],
])('no character is cut, however the bytes come, and no byte is lost: %s', (_how, isMerged) => {
  fc.assert(
    fc.property(
      fc.string({ unit: character, maxLength: 40 }),
      fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1 }),
      (string, lengths) => {
        const bytes = Buffer.from(string);
        const parts: Buffer[] = [];
        for (let at = 0, i = 0; at < bytes.length; i++) {
          const length = lengths[i % lengths.length] as number;
          parts.push(bytes.subarray(at, at + length));
          at += length;
        }
        const messages = messagesOf(parts, isMerged);
        expect(Buffer.concat(messages).equals(bytes)).toBe(true);
        expect(messages.every(isUtf8)).toBe(true);
      },
    ),
  );
});

test('bytes that are no text arrive as they are', () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ minLength: 1, maxLength: 20 })),
      fc.boolean(),
      (arrays, isMerged) => {
        const parts = arrays.map((array) => Buffer.from(array));
        expect(Buffer.concat(messagesOf(parts, isMerged)).equals(Buffer.concat(parts))).toBe(true);
      },
    ),
  );
});

test('what was merged makes as few short messages as there can be', () => {
  const parts = ['ab', 'c', 'defghijk', 'l'].map((part) => Buffer.from(part));
  expect(messagesOf(parts, true).map(String)).toEqual(['abcde', 'fghij', 'kl']);
  // Of the longest that has a short header, and one byte more.
  const long = textEncoder(1000, 126)([Buffer.alloc(251, 'x')], true);
  const messages = [...new FrameReader().read(Buffer.concat(long))];
  expect(messages.map(({ payload }) => payload.length)).toEqual([126, 125]);
});

test('each part is a message of its own', () => {
  expect(messagesOf(['ab', 'c', 'defghijk', 'l'].map((part) => Buffer.from(part))).map(String)).toEqual([
    'ab',
    'c',
    'defghijk',
    'l',
  ]);
});
