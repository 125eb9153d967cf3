import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { messageEncoder } from '../../src/wire/message-encoder.ts';
import { FrameReader, Op } from '../support/original/frames.ts';

function framesOf(encoded: readonly Buffer[]) {
  const reader = new FrameReader();
  const frames = [...reader.read(Buffer.concat(encoded))];
  expect(reader.midFrame).toBe(false);
  return frames;
}

describe('messageEncoder', () => {
  test('what it encoded is what was given, in whole, unmasked messages, as few as the limit allows', () => {
    const part = fc
      .tuple(fc.nat({ max: 400 }), fc.nat(255))
      .map(([length, seed]) => Buffer.from(Array.from({ length }, (_, i) => (i + seed) & 0xff)));
    fc.assert(
      fc.property(
        fc.array(part, { maxLength: 12 }),
        fc.integer({ min: 1, max: 500 }),
        fc.constantFrom(Op.text, Op.binary),
        (parts, max, opcode) => {
          const frames = framesOf(messageEncoder(opcode, max)(parts));
          const bytes = Buffer.concat(parts);
          expect(Buffer.concat(frames.map(({ payload }) => payload)).equals(bytes)).toBe(true);
          expect(frames).toHaveLength(Math.ceil(bytes.length / max));
          for (const frame of frames) {
            expect(frame).toMatchObject({ fin: true, masked: false, opcode });
            expect(frame.payload.length).toBeGreaterThan(0);
            expect(frame.payload.length).toBeLessThanOrEqual(max);
          }
        },
      ),
      { numRuns: 150 },
    );
  });

  test.each([125, 126, 32_767, 32_768, 32_769, 65_535, 65_536, 200_000])(
    '%d bytes survive every form of length',
    (length) => {
      const bytes = Buffer.from(Array.from({ length }, (_, i) => (i * 7) & 0xff));
      for (const max of [32_768, 65_535, 65_536, 1_000_000]) {
        const frames = framesOf(messageEncoder(Op.text, max)([bytes.subarray(0, 100), bytes.subarray(100)]));
        expect(Buffer.concat(frames.map(({ payload }) => payload)).equals(bytes)).toBe(true);
        expect(frames).toHaveLength(Math.ceil(length / max));
      }
    },
  );

  test('nothing becomes nothing', () => {
    expect(messageEncoder(Op.text, 10)([])).toHaveLength(0);
    expect(messageEncoder(Op.text, 10)([Buffer.alloc(0), Buffer.alloc(0)])).toHaveLength(0);
  });

  test('copies no payload and leaves its input as it is', () => {
    const parts = [Buffer.from('abc'), Buffer.from('defgh')];
    const encoded = messageEncoder(Op.text, 4)(parts);
    const memory = new Set<ArrayBufferLike>(parts.map(({ buffer }) => buffer));
    const views = encoded.filter(({ buffer }) => memory.has(buffer));
    expect(String(Buffer.concat(views))).toContain('abcdefgh');
    expect(parts.map(String)).toEqual(['abc', 'defgh']);
  });
});
