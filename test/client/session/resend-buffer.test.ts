import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { PendingWrites, ResendBuffer } from '../../../src/client/session/resend-buffer.ts';
import { pattern } from '../../support/pattern.ts';

const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('push' as const),
      size: fc.oneof(fc.nat(20), fc.nat(100_000), fc.integer({ min: 20_000, max: 60_000 })),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('release' as const), share: fc.integer({ min: -2, max: 10 }) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('view' as const),
      share: fc.integer({ min: 0, max: 9 }),
      size: fc.integer({ min: 1, max: 120_000 }),
    }),
  },
);

/** Everything that a buffer holds from `position` on, view by view. */
function held(buffer: ResendBuffer, position = buffer.start): Buffer {
  const parts: Buffer[] = [];
  let at = position;
  while (at < buffer.end) {
    const part = Buffer.from(buffer.view(at, 1_000_000));
    if (part.length === 0) throw new Error(`an empty view at ${at}`);
    parts.push(part);
    at += part.length;
  }
  return Buffer.concat(parts);
}

describe('the resend buffer', () => {
  test('holds what a plain array would hold, whatever is pushed, released and looked at', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 60_000, max: 300_000 })),
        fc.array(step, { maxLength: 60 }),
        (maxBytes, steps) => {
          const buffer = new ResendBuffer(maxBytes);
          let start = 0;
          let end = 0;
          for (const taken of steps) {
            if (taken.kind === 'push') {
              const bytes = pattern(end, taken.size);
              const count = buffer.push(bytes);
              expect(count).toBe(Math.min(bytes.length, maxBytes - (end - start)));
              // It has its own copy.
              bytes.fill(0);
              end += count;
            } else if (taken.kind === 'release') {
              const position = Math.min(end, start + Math.floor(((end - start) * taken.share) / 10));
              buffer.release(position);
              start = Math.max(start, position);
            } else if (end > start) {
              const position = start + Math.floor(((end - start) * taken.share) / 10);
              const view = buffer.view(position, taken.size);
              expect(view.length).toBeGreaterThan(0);
              expect(view.length).toBeLessThanOrEqual(Math.min(taken.size, end - position));
              expect(pattern(position, view.length).equals(view)).toBe(true);
            }
            expect([buffer.start, buffer.end]).toEqual([start, end]);
            expect(held(buffer).equals(pattern(start, end - start))).toBe(true);
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  test('keeps what it holds when it grows, wherever in its ring that lies', () => {
    const buffer = new ResendBuffer(1_000_000);
    buffer.push(pattern(0, 60_000));
    buffer.release(50_000);
    // Goes round the end of the first ring, which has 64 KiB, then needs more.
    buffer.push(pattern(60_000, 50_000));
    buffer.release(70_000);
    buffer.push(pattern(110_000, 500_000));
    expect(held(buffer).equals(pattern(70_000, 540_000))).toBe(true);
  });

  test('takes nothing when it is full, and goes round its end when there is room again', () => {
    const buffer = new ResendBuffer(10);
    expect(buffer.push(Buffer.from('0123456789ab'))).toBe(10);
    expect(buffer.push(Buffer.from('x'))).toBe(0);
    buffer.release(7);
    expect(buffer.push(Buffer.from('ABCDEFGHIJ'))).toBe(7);
    expect(String(held(buffer))).toBe('789ABCDEFG');
    expect(String(held(buffer, 9))).toBe('9ABCDEFG');
  });

  test('never forgets more when it is told to forget less', () => {
    const buffer = new ResendBuffer(10);
    buffer.push(Buffer.from('0123456789'));
    buffer.release(5);
    buffer.release(2);
    expect(buffer.start).toBe(5);
    expect(String(held(buffer))).toBe('56789');
  });

  test('takes memory only as it needs it, and gives it back', () => {
    const before = process.memoryUsage().arrayBuffers;
    const grown = () => process.memoryUsage().arrayBuffers - before;
    const buffer = new ResendBuffer(256 * 1024 * 1024);
    expect(grown()).toBeLessThan(1024 * 1024);
    for (let i = 0; i < 1000; i++) {
      buffer.push(Buffer.alloc(1000));
      buffer.release(buffer.end);
    }
    expect(grown()).toBeLessThan(8 * 1024 * 1024);
    buffer.clear();
    expect(buffer.view(buffer.start, 10)).toHaveLength(0);
    expect(buffer.start).toBe(buffer.end);
  });
});

describe('writes that wait for room', () => {
  /** Two chunks, the buffer in which there is room for half of them, and who is to be told. */
  function waiting() {
    const pending = new PendingWrites();
    const onAccepted = vi.fn();
    pending.set([Buffer.from('abc'), Buffer.from('defgh')], onAccepted);
    return { pending, onAccepted, buffer: new ResendBuffer(4) };
  }

  test('move to the buffer as it has room, in order', () => {
    const { pending, buffer } = waiting();
    const moved: string[] = [];
    for (let isAll = false; !isAll && moved.length < 5; ) {
      isAll = pending.moveTo(buffer);
      moved.push(held(buffer).toString());
      buffer.release(buffer.end);
    }
    expect(moved).toEqual(['abcd', 'efgh']);
    expect(pending.moveTo(buffer)).toBe(true);
    expect(buffer.end).toBe(8);
  });

  test('are called back once, with the error if there is one', () => {
    const { pending, onAccepted, buffer } = waiting();
    const error = new Error('destroyed');
    pending.moveTo(buffer);
    expect(onAccepted).not.toHaveBeenCalled();
    pending.settle(error);
    pending.settle();
    expect(onAccepted.mock.calls).toEqual([[error]]);
    buffer.release(buffer.end);
    expect(pending.moveTo(buffer)).toBe(true);
    expect(buffer.end).toBe(4);
  });
});
