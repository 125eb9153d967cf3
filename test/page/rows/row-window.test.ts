import { expect, it } from 'vitest';
import { BLOCK_BYTES, BlockStore } from '../../../src/page/bytes/block-store.ts';
import { rowsOf } from '../../../src/page/log/rows.ts';
import { type RowRun, type RowsOf, RowWindow } from '../../../src/page/rows/row-window.ts';

const encoder = new TextEncoder();

/** A page of a file in which a colour is opened, and is still open behind so many bytes. */
function windowOf(bytes: Uint8Array<ArrayBuffer>, makeRows: RowsOf = rowsOf) {
  const store = new BlockStore((from, to) => Promise.resolve(bytes.slice(from, to)));
  store.extend(bytes.length);
  return { store, window: new RowWindow(store, makeRows) };
}

function colourAt(window: RowWindow, position: number): number | undefined {
  const { rows, at } = window.around(position, 5, 5) as RowRun;
  return rows[at]!.spans[0]!.style.fg;
}

it('rows have the colours that were opened long before them, as far as the page has what is there', async () => {
  const bytes = encoder.encode(`\x1b[32m${'a line\n'.repeat(200_000)}`);
  const { store, window } = windowOf(bytes);
  await store.load(0, BLOCK_BYTES);
  expect(colourAt(window, BLOCK_BYTES - 50_000)).toBe(2);
  // Nothing is loaded to know it.
  await store.load(3 * BLOCK_BYTES, 4 * BLOCK_BYTES);
  expect(colourAt(window, 4 * BLOCK_BYTES - 50_000)).toBeUndefined();
});

it('rows keep a colour that was opened before what is looked at, for who goes down', async () => {
  const bytes = encoder.encode(`\x1b[32m${'a line\n'.repeat(200_000)}`);
  const { store, window } = windowOf(bytes);
  await store.load(0, bytes.length);
  for (let position = 50_000; position < bytes.length; position += 50_000) {
    expect(colourAt(window, position)).toBe(2);
  }
});

it.each([
  ['few colours', 1, true],
  ['thousands of them', 20_000, false],
])('rows that were made are kept as long as they take little memory: of %s', async (_, spanCount, isKept) => {
  let made = 0;
  const [span] = rowsOf(encoder.encode('x'), 0).rows[0]!.spans;
  const spans = Array.from({ length: spanCount }, () => span!);
  const { store, window } = windowOf(encoder.encode('a line\n'.repeat(200_000)), (bytes, at, state) => {
    made++;
    const { rows, ...screen } = rowsOf(bytes, at, state);
    return { ...screen, rows: rows.map((row) => ({ ...row, spans })) };
  });
  await store.load(0, store.size);
  for (let position = 100_000; position < store.size; position += 100_000) window.around(position, 1, 1);
  const before = made;
  window.around(100_000, 1, 1);
  expect(made === before).toBe(isKept);
});
