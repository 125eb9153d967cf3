import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { stateAfter } from '../../../src/page/log/pen.ts';
import { cutsIn, PSEUDO_LINE_BYTES, rowStartBefore } from '../../../src/page/log/pseudo-lines.ts';
import { type Row, rowsOf } from '../../../src/page/log/rows.ts';

const RECORDINGS = path.join(import.meta.dirname, '../../fixtures/terminal');

/** What is read around what is shown. */
const AROUND_BYTES = 16 * 1024;

/** What has to be known before a place to say where a row begins. */
const LOOK_BACK_BYTES = 128 * 1024;

const encoder = new TextEncoder();

/** All recordings, several times, with lines between them of which a colour is left open. */
function everything(): Uint8Array {
  const recordings = readdirSync(RECORDINGS).map((name) => readFileSync(path.join(RECORDINGS, name)));
  const parts: Uint8Array[] = [];
  for (let round = 0; round < 4; round++) {
    for (const [index, recording] of recordings.entries()) {
      const lines = Array.from(
        { length: 20 * round + index },
        (_, line) => `line ${round}.${index}.${line} é漢\n`,
      );
      parts.push(recording, encoder.encode(`\x1b[0m${lines.join('')}\x1b[3${index % 8}m`));
    }
  }
  return Buffer.concat(parts);
}

/** The rows that begin from `from` to before `to`, made of a window around them; lines are counted from 0. */
function rowsInWindow(bytes: Uint8Array, from: number, to: number): Row[] {
  const at = Math.max(0, from - AROUND_BYTES - LOOK_BACK_BYTES);
  // The last row may be a long one.
  const seen = bytes.subarray(at, to + AROUND_BYTES + LOOK_BACK_BYTES);
  const start = rowStartBefore(seen, at, Math.max(0, from - AROUND_BYTES))!;
  const state = stateAfter(bytes.subarray(0, start));
  const lines = bytes.subarray(0, start).filter((byte) => byte === 0x0a).length;
  return rowsOf(seen.subarray(start - at), start, state)
    .rows.filter((row) => row.start >= from && row.start < to)
    .map((row) => ({ ...row, line: row.line + lines }));
}

function expectWindowsLikeTheWhole(bytes: Uint8Array, step: number): void {
  const { rows } = rowsOf(bytes, 0);
  for (let from = 0; from < bytes.length; from += step) {
    const expected = rows.filter(({ start }) => start >= from && start < from + step);
    expect(rowsInWindow(bytes, from, from + step)).toEqual(expected);
  }
}

describe('the rows of a window', () => {
  it('are those of the whole: text, colours, positions, lines', () => {
    expectWindowsLikeTheWhole(everything(), 4000);
  });

  it('are those of the whole in lines without end, and around them', () => {
    const long = 'word \x1b[31mréd\x1b[0m '.repeat(12_000);
    expectWindowsLikeTheWhole(
      encoder.encode(`first\n${long}\nlast\n${'x'.repeat(65_000)}\nvery last`),
      50_000,
    );
  });

  it('are those of the whole in progress that never ends its line', () => {
    const updates = Array.from(
      { length: 6_000 },
      (_, index) => `\r${index} of 6000 ${'#'.repeat(index % 30)}\x1b[K`,
    );
    const bytes = encoder.encode(updates.join(''));
    expectWindowsLikeTheWhole(bytes, 30_000);
    const shown = rowsOf(bytes, 0).rows.map(({ spans }) => spans.map(({ text }) => text).join(''));
    expect(shown.at(-1)).toBe('5999 of 6000 #############################');
    // None is torn: each is one update, whole.
    for (const text of shown) expect(text).toMatch(/^\d+ of 6000 #*$/);
  });

  it('show a hole of a sparse file in parts, each as one chip', () => {
    const bytes = new Uint8Array(3 * PSEUDO_LINE_BYTES);
    bytes.set(encoder.encode('before\n'));
    const { rows } = rowsOf(bytes, 0);
    expect(rows.map(({ spans }) => spans.map(({ text }) => text))).toEqual([
      ['before'],
      ['\\0 × 65,529'],
      ['\\0 × 65,536'],
      ['\\0 × 65,536'],
    ]);
    expectWindowsLikeTheWhole(bytes, 40_000);
  });
});

describe('where a line without line feed is cut', () => {
  it('is at multiples of 64 KiB in the resource, wherever the window begins', () => {
    const bytes = new Uint8Array(5 * PSEUDO_LINE_BYTES).fill(0x61);
    const cuts = cutsIn(bytes, 0);
    expect(cuts).toEqual([1, 2, 3, 4].map((count) => count * PSEUDO_LINE_BYTES));
    for (const cut of cuts)
      expect(cutsIn(bytes.subarray(cut), cut)).toEqual(cuts.filter((other) => other > cut));
  });

  it('is never inside a character, and behind a CR if one is near', () => {
    const euros = encoder.encode('€'.repeat(50_000));
    expect(cutsIn(euros, 0)).toEqual([65_538, 131_073]);
    const bytes = new Uint8Array(2 * PSEUDO_LINE_BYTES).fill(0x61);
    bytes[PSEUDO_LINE_BYTES + 500] = 0x0d;
    expect(cutsIn(bytes, 0)).toEqual([PSEUDO_LINE_BYTES + 501]);
  });

  it('is not in lines that are shorter, nor between CR and LF', () => {
    const bytes = new Uint8Array(2 * PSEUDO_LINE_BYTES).fill(0x61);
    bytes[PSEUDO_LINE_BYTES - 10] = 0x0a;
    expect(cutsIn(bytes, 0)).toEqual([]);
    bytes[PSEUDO_LINE_BYTES - 10] = 0x61;
    bytes.set([0x0d, 0x0a], PSEUDO_LINE_BYTES + 100);
    expect(cutsIn(bytes, 0)).toEqual([PSEUDO_LINE_BYTES]);
  });

  it('is found from the 128 KiB before a place and the 1,024 bytes behind it', () => {
    const bytes = new Uint8Array(6 * PSEUDO_LINE_BYTES).fill(0x61);
    for (const position of [2 * PSEUDO_LINE_BYTES, 200_000, 300_001]) {
      const at = position - LOOK_BACK_BYTES;
      const start = rowStartBefore(bytes.subarray(at, position + 1024), at, position)!;
      expect(start).toBe(position - (position % PSEUDO_LINE_BYTES));
    }
    expect(rowStartBefore(bytes.subarray(10, 60_000), 10, 50_000)).toBeUndefined();
    expect(rowStartBefore(bytes.subarray(0, 60_000), 0, 50_000)).toBe(0);
  });
});
