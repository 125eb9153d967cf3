import { isUtf8 } from 'node:buffer';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { textEncoder, toldDetail, v2Dialect } from '../../../src/server/websocket/dialects.ts';
import { MAX_CONTROL_BYTES } from '../../../src/wire/protocol.ts';
import { character } from '../../support/characters.ts';
import { FrameReader, Op } from '../../support/original/frames.ts';

const MAX_BYTES = 8;
const MAX_SHORT_BYTES = 5;
const encode = textEncoder(MAX_BYTES, MAX_SHORT_BYTES);

const messagesOf = (parts: readonly Buffer[], merged: ReadonlySet<Buffer> = new Set()) => {
  /** Of each byte, whether it was merged. */
  const isMerged = parts.flatMap((part) => Array.from(part, () => merged.has(part)));
  let end = 0;
  return [...new FrameReader().read(Buffer.concat(encode(parts, merged)))].map(({ fin, opcode, payload }) => {
    expect({ fin, opcode }).toEqual({ fin: true, opcode: Op.text });
    end += payload.length;
    expect(payload.length).toBeLessThanOrEqual(isMerged[end - 1] === true ? MAX_SHORT_BYTES : MAX_BYTES);
    return payload;
  });
};

const none = () => false;
const all = () => true;
const eachSecond = (_part: Buffer, index: number) => index % 2 === 1;

test.each([
  ['as they came', none],
  ['merged', all],
  ['some of them merged', eachSecond],
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
        const messages = messagesOf(parts, new Set(parts.filter(isMerged)));
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
      fc.constantFrom(none, all, eachSecond),
      (arrays, isMerged) => {
        const parts = arrays.map((array) => Buffer.from(array));
        const merged = new Set(parts.filter(isMerged));
        expect(Buffer.concat(messagesOf(parts, merged)).equals(Buffer.concat(parts))).toBe(true);
      },
    ),
  );
});

test('a part that was merged makes as few short messages as there can be, and others stay as they are', () => {
  const parts = ['ab', 'cdefghijkl', 'mnopqrst'].map((part) => Buffer.from(part));
  const messages = messagesOf(parts, new Set([parts[1] as Buffer]));
  expect(messages.map(String)).toEqual(['ab', 'cdefg', 'hijkl', 'mnopqrst']);
});

test('a short part is not made longer than short ones may be by the beginning of a character before it', () => {
  const bytes = Buffer.from('ab€cdef');
  const messages = messagesOf([bytes.subarray(0, 4), bytes.subarray(4)]);
  expect(messages.map(String)).toEqual(['ab', '€cd', 'ef']);
});

test.each(['f09090', 'e2'])(
  'any number of parts that only begin characters are sent as they are: %s',
  (hex) => {
    const parts = Array.from({ length: 400 }, () => Buffer.from(hex, 'hex'));
    for (const merged of [new Set<Buffer>(), new Set(parts)]) {
      expect(Buffer.concat(messagesOf(parts, merged)).equals(Buffer.concat(parts))).toBe(true);
    }
  },
);

test('headers of short messages of any length', () => {
  const bytes = Buffer.alloc(251, 'x');
  const long = textEncoder(1000, 126)([bytes], new Set([bytes]));
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

test.each(['x', '"', '\u0000', '\ud800', '€'])(
  'what went wrong is told in one message, however long it is: %j',
  (character) => {
    const detail = toldDetail(character.repeat(10_000));
    const position = Number.MAX_SAFE_INTEGER;
    const bytes = v2Dialect.control({ type: 'end', position, reason: 'interrupted', detail });
    const [message, ...others] = new FrameReader().read(bytes);
    expect(others).toEqual([]);
    expect(message?.payload.length).toBeLessThanOrEqual(MAX_CONTROL_BYTES);
    expect(JSON.parse(String(message?.payload))).toMatchObject({ detail });
    expect(detail.length).toBeGreaterThan(100);
  },
);
