import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BLOCK_BYTES, BlockStore } from '../../../src/page/bytes/block-store.ts';
import { pattern } from '../../support/pattern.ts';

/** A store of a file that is the pattern, and what it has read of that. */
function storeOfPattern(maxBlocks?: number) {
  const reads: [from: number, to: number][] = [];
  const store = new BlockStore(async (from, to) => {
    reads.push([from, to]);
    return new Uint8Array(pattern(from, to - from));
  }, maxBlocks);
  return { store, reads };
}

/** Not by `toEqual`, which takes a second for a mebibyte. */
function expectPattern(bytes: Uint8Array | undefined, from: number, length: number): void {
  expect(bytes).toHaveLength(length);
  expect(pattern(from, length).equals(bytes!)).toBe(true);
}

describe('the bytes that a page has', () => {
  it('are those that came live, from wherever that began', () => {
    const { store } = storeOfPattern();
    store.append(BLOCK_BYTES - 10, pattern(BLOCK_BYTES - 10, 30));
    expect(store.size).toBe(BLOCK_BYTES + 20);
    expectPattern(store.slice(BLOCK_BYTES - 10, BLOCK_BYTES + 20), BLOCK_BYTES - 10, 30);
    expect(store.slice(BLOCK_BYTES - 11, BLOCK_BYTES + 20)).toBeUndefined();
  });

  it('can be had before a place as far as they are here', async () => {
    const { store } = storeOfPattern();
    store.append(BLOCK_BYTES + 10, pattern(BLOCK_BYTES + 10, 2 * BLOCK_BYTES));
    const taken = (to: number, from: number) => store.sliceBefore(to, from);
    const end = 3 * BLOCK_BYTES;
    expectPattern(taken(end, 0), BLOCK_BYTES + 10, end - BLOCK_BYTES - 10);
    expectPattern(taken(end, end - 5), end - 5, 5);
    expect(taken(BLOCK_BYTES + 10, 0)).toHaveLength(0);
    await store.load(0, 10);
    expect(taken(BLOCK_BYTES + 11, 0)).toHaveLength(1);
    await store.load(BLOCK_BYTES, BLOCK_BYTES + 10);
    expectPattern(taken(end, 0), 0, end);
  });

  it('are read in whole blocks, once, and neighbours together', async () => {
    const { store, reads } = storeOfPattern();
    store.extend(4 * BLOCK_BYTES + 5);
    await Promise.all([store.load(BLOCK_BYTES + 1, 3 * BLOCK_BYTES), store.load(2 * BLOCK_BYTES, 9e9)]);
    expect(reads).toEqual([
      [BLOCK_BYTES, 3 * BLOCK_BYTES],
      [3 * BLOCK_BYTES, 4 * BLOCK_BYTES + 5],
    ]);
    await store.load(BLOCK_BYTES, 9e9);
    expect(reads).toHaveLength(2);
  });

  it('are read again after a failure', async () => {
    let fails = true;
    const store = new BlockStore(async (from, to) => {
      if (fails) throw new Error('no');
      return new Uint8Array(pattern(from, to - from));
    });
    store.extend(100);
    await expect(store.load(0, 100)).rejects.toThrow('no');
    fails = false;
    await store.load(0, 100);
    expectPattern(store.slice(0, 100), 0, 100);
  });

  it('are all there when they were read, those that had not been used for longest, too', async () => {
    const { store } = storeOfPattern(3);
    store.append(0, pattern(0, 3 * BLOCK_BYTES + 1));
    await store.load(0, 2 * BLOCK_BYTES);
    expectPattern(store.slice(0, 2 * BLOCK_BYTES), 0, 2 * BLOCK_BYTES);
  });

  it('are forgotten when others were used since, and never wrong', async () => {
    const place = fc.nat({ max: 6 * BLOCK_BYTES });
    const step = fc.record({ at: place, length: fc.nat({ max: BLOCK_BYTES + 9 }), isLive: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
        const { store } = storeOfPattern(3);
        let live = 0;
        for (const { at, length, isLive } of steps) {
          if (isLive) {
            store.append(live, pattern(live, length));
            live += length;
          }
          await store.load(at, at + length);
          const to = Math.min(at + length, store.size);
          if (at < to) expectPattern(store.slice(at, to), at, to - at);
        }
      }),
      { numRuns: 20 },
    );
  });
});
