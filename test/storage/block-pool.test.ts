import { describe, expect, it } from 'vitest';
import { BlockPool, SMALL_BLOCK_BYTES } from '../../src/storage/block-pool.ts';

const KiB = 1024;
const MiB = 1024 * KiB;

describe('blocks of a file', () => {
  it('begin small and become larger with each one that is taken', () => {
    const loan = new BlockPool().lend(MiB);
    const sizes = Array.from({ length: 7 }, () => loan.next() / KiB);
    expect(sizes).toEqual([64, 128, 256, 512, 1024, 1024, 1024]);
  });

  it('are never larger than their reader takes', () => {
    const loan = new BlockPool().lend(256 * KiB);
    expect(Array.from({ length: 4 }, () => loan.next() / KiB)).toEqual([64, 128, 256, 256]);
  });

  it('of thousands of readers that have stalled are small, whatever they have taken before', () => {
    const pool = new BlockPool();
    const loans = Array.from({ length: 1000 }, () => pool.lend(MiB));
    let held = 0;
    for (const loan of loans) {
      for (let i = 0; i < 9; i++) loan.next();
      held += loan.next();
    }
    expect(held).toBeLessThanOrEqual(1000 * SMALL_BLOCK_BYTES + 16 * MiB);
  });

  it('become large again when others have given theirs back', () => {
    const pool = new BlockPool();
    const loans = Array.from({ length: 100 }, () => pool.lend(MiB));
    for (const loan of loans) for (let i = 0; i < 9; i++) loan.next();
    const late = pool.lend(MiB);
    for (let i = 0; i < 9; i++) expect(late.next()).toBeLessThan(MiB / 2);
    for (const loan of loans) {
      loan.release();
      loan.release();
    }
    for (let i = 0; i < 9; i++) late.next();
    expect(late.next()).toBe(MiB);
    late.release();
    // Nothing was given back twice.
    let large = 0;
    for (const loan of loans) {
      for (let i = 0; i < 9; i++) loan.next();
      if (loan.next() === MiB) large++;
    }
    expect(large).toBeLessThanOrEqual(17);
  });
});
