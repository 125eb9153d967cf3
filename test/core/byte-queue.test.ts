import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ByteQueue, type Taken } from '../../src/core/byte-queue.ts';

/** The memory that parts hold on to. */
function heldBytes(parts: readonly Buffer[]): number {
  return [...new Set(parts.map(({ buffer }) => buffer))].reduce((sum, { byteLength }) => sum + byteLength, 0);
}

test('bytes come out as they went in, whatever the pieces', () => {
  const piece = fc.oneof(fc.integer({ min: 0, max: 20 }), fc.integer({ min: 0, max: 9000 }));
  fc.assert(
    fc.property(fc.array(fc.oneof(piece, fc.constant('take' as const)), { maxLength: 60 }), (steps) => {
      const queue = new ByteQueue();
      const pushed: Buffer[] = [];
      const taken: Buffer[] = [];
      for (const [i, step] of steps.entries()) {
        if (step === 'take') taken.push(...queue.take().parts);
        else {
          const bytes = Buffer.alloc(step, i);
          pushed.push(Buffer.from(bytes));
          queue.push(bytes);
        }
        expect(queue.length).toBe(Buffer.concat(pushed).length - Buffer.concat(taken).length);
      }
      taken.push(...queue.take().parts);
      expect(Buffer.concat(taken).equals(Buffer.concat(pushed))).toBe(true);
      expect(taken.every(({ length }) => length > 0)).toBe(true);
    }),
  );
});

test('a million pieces of one byte are a few blocks', () => {
  const queue = new ByteQueue();
  const read = Buffer.alloc(64 * 1024);
  for (let i = 0; i < 1_000_000; i++) queue.push(read.subarray(i % read.length, (i % read.length) + 1));
  const parts = queue.take().parts;
  expect(parts.length).toBeLessThan(30);
  expect(heldBytes(parts)).toBeLessThan(1_200_000);
});

test('a piece on its own does not hold on to what it was cut from, and is not copied if it was cut from nothing', () => {
  const queue = new ByteQueue();
  queue.push(Buffer.alloc(1024 * 1024).subarray(10, 20));
  // Node's pool of small Buffers, at most.
  expect(heldBytes(queue.take().parts)).toBeLessThanOrEqual(heldBytes([Buffer.from('small')]));
  const whole = Buffer.alloc(100, 'x');
  queue.push(whole);
  expect(queue.take().parts).toEqual([whole]);
});

test('a large piece does not hold on to a read of which it is the lesser part', () => {
  const queue = new ByteQueue();
  for (let i = 0; i < 32; i++) queue.push(Buffer.alloc(64 * 1024).subarray(i, i + 4096));
  expect(heldBytes(queue.take().parts)).toBeLessThan(2.1 * 32 * 4096);
});

test('large pieces are handed on uncopied', () => {
  const queue = new ByteQueue();
  const large = Buffer.alloc(10_000);
  queue.push(Buffer.from('a'));
  queue.push(large);
  queue.push(Buffer.from('b'));
  const parts = queue.take().parts;
  expect(parts.map(({ length }) => length)).toEqual([1, 10_000, 1]);
  expect(parts[1]).toBe(large);
});

describe('which pieces are merged', () => {
  /** Lengths of the parts, and whether each was merged. */
  const told = ({ parts, merged }: Taken) => parts.map((part) => [part.length, merged?.has(part) === true]);

  test('all that are short, and it is told; longer ones stay as they are', () => {
    const queue = new ByteQueue(100);
    for (const bytes of [10, 99, 99, 100, 3000, 20, 30, 5000, 40]) queue.push(Buffer.alloc(bytes));
    expect(told(queue.take())).toEqual([
      [10, false],
      [198, true],
      [100, false],
      [3000, false],
      [50, true],
      [5000, false],
      [40, false],
    ]);
    for (const bytes of [10, 99]) queue.push(Buffer.alloc(bytes));
    expect(told(queue.take())).toEqual([
      [10, false],
      [99, false],
    ]);
  });

  test('what was merged before it came is merged, and does not keep what it was cut from in memory', () => {
    const queue = new ByteQueue(100);
    for (const bytes of [5000, 200, 300, 100])
      queue.push(Buffer.alloc(64 * 1024).subarray(0, bytes), bytes > 100);
    const taken = queue.take();
    expect(told(taken)).toEqual([
      [5000, true],
      [500, true],
      [100, false],
    ]);
    expect(heldBytes(taken.parts)).toBeLessThan(3 * 5600);
  });
});
