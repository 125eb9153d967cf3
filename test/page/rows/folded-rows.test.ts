import { describe, expect, it, vi } from 'vitest';
import { BlockStore } from '../../../src/page/bytes/block-store.ts';
import { GroupOutline } from '../../../src/page/groups/group-outline.ts';
import { rowsOf } from '../../../src/page/log/rows.ts';
import { FoldedRows } from '../../../src/page/rows/folded-rows.ts';
import { type RowRun, type RowsOf, RowWindow } from '../../../src/page/rows/row-window.ts';

const MiB = 1024 * 1024;

/** So many bytes are looked at for rows at once: 256 KiB on either side, and what says where a row begins. */
const MAX_LOOKED_AT = MiB;

/** A file of 3 MiB without a line feed, so that its rows have 64 KiB, all of which is here. */
async function openFile(makeRows: RowsOf) {
  const bytes = new TextEncoder()
    .encode('a word and \x1b[31manother\x1b[m '.repeat(150_000))
    .slice(0, 3 * MiB);
  const store = new BlockStore((from, to) => Promise.resolve(bytes.slice(from, to)));
  store.extend(bytes.length);
  await store.load(0, bytes.length);
  return { bytes, rows: new FoldedRows(new RowWindow(store, makeRows), new GroupOutline()) };
}

function placesOf({ rows }: Pick<RowRun, 'rows'>): number[][] {
  return rows.map(({ start, end }) => [start, end]);
}

describe('rows around a place', () => {
  it('are as many as are wanted, however long they are, but of few bytes at once', async () => {
    const lookedAt: number[] = [];
    const { bytes, rows } = await openFile((seen, at, state) => {
      lookedAt.push(seen.length);
      return rowsOf(seen, at, state);
    });
    const whole = placesOf({ rows: rowsOf(bytes, 0).rows.map((row) => ({ ...row, origin: 0 })) });
    let run: RowRun;
    do run = rows.around(MiB, 5, 12) as RowRun;
    while (run.lacks === 'time');
    expect(run.rows[run.at]!.start).toBe(MiB);
    const first = whole.findIndex(([start]) => start === run.rows[0]!.start);
    expect(placesOf(run)).toEqual(whole.slice(first, first + run.rows.length));
    expect(run.at).toBeGreaterThanOrEqual(5);
    expect(run.rows.length - run.at).toBeGreaterThanOrEqual(12);
    expect(Math.max(...lookedAt)).toBeLessThan(MAX_LOOKED_AT);
  });

  it('are fewer when they take long, and more with each look', async () => {
    let nowMs = 0;
    const clock = vi.spyOn(performance, 'now').mockImplementation(() => nowMs);
    try {
      const { rows } = await openFile((seen, at, state) => {
        nowMs += 1000;
        return rowsOf(seen, at, state);
      });
      const counts: number[] = [];
      let run: RowRun;
      do {
        run = rows.around(MiB, 0, 14) as RowRun;
        counts.push(run.rows.length - run.at);
      } while (run.lacks === 'time' && counts.length < 100);
      expect(counts[0]).toBeLessThan(10);
      expect(counts).toEqual(counts.toSorted((a, b) => a - b));
      expect(counts.at(-1)).toBeGreaterThanOrEqual(14);
    } finally {
      clock.mockRestore();
    }
  });
});
