import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { type ListingForm, ListingText, PIECE_LENGTH } from '../../../src/server/files/listing-text.ts';
import type { ListedEntry } from '../../../src/server/response/list-row.ts';
import { waitFor } from '../../support/wait-for.ts';

const FORM: ListingForm = {
  type: 'text/plain',
  head: '',
  separator: ',',
  row: ({ name }) => name,
  tail: (truncated) => `|${truncated}`,
};

/** As many as a few pieces take. */
const ENTRIES: readonly ListedEntry[] = Array.from({ length: 2000 }, (_, i) => ({
  name: `${i}`.padStart(100, '0'),
  isDirectory: false,
  size: 0,
  modifiedMs: 0,
  standing: { state: 'finished' },
  isRelayed: false,
}));

const WHOLE = `${ENTRIES.map(({ name }) => name).join(',')}|false`;

/** The text of a listing, and the names after which the directory was read for it. */
function textOf(entries: readonly ListedEntry[], keptMs: number) {
  const reads: string[] = [];
  const readAfter = async (after: string) => {
    reads.push(after);
    return { entries: entries.filter(({ name }) => name > after), truncated: false };
  };
  return { text: new ListingText(FORM, readAfter, { keptMs }), reads };
}

describe('the text of a listing', () => {
  it('is laid out piece by piece, from one look at the directory, for whoever reads', async () => {
    const { text, reads } = textOf(ENTRIES, 600_000);
    const pieces: string[] = [];
    for await (const piece of text.pieces()) pieces.push(piece);
    expect(pieces.join('') === WHOLE).toBe(true);
    expect(pieces.length).toBe(Math.ceil(WHOLE.length / (PIECE_LENGTH + 101)));
    expect(reads).toEqual(['']);
  });

  it('is not kept for a reader that stalls, and goes on where it was', async () => {
    const { text, reads } = textOf(ENTRIES, 0);
    let whole = '';
    for await (const piece of text.pieces()) {
      whole += piece;
      await waitFor(() => text.isOver || !text.isKept, 'the rest to be forgotten');
    }
    expect(whole === WHOLE).toBe(true);
    expect(reads.length).toBe(Math.ceil(WHOLE.length / (PIECE_LENGTH + 101)));
    expect(whole).toContain(`${reads[1]},`);
  });

  it('is let go by a reader that breaks off', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    const { text } = textOf(ENTRIES, 600_000);
    for await (const piece of text.pieces()) {
      expect([piece.length > 0, text.isKept, vi.getTimerCount()]).toEqual([true, true, 1]);
      break;
    }
    expect([text.isKept, vi.getTimerCount()]).toEqual([false, 0]);
  });

  it('keeps no process for a reader that does not even break off', async () => {
    const setting = vi.spyOn(globalThis, 'setTimeout');
    onTestFinished(() => setting.mockRestore());
    await textOf(ENTRIES, 600_000).text.pieces().next();
    expect(setting.mock.results.map(({ value }) => (value as NodeJS.Timeout).hasRef())).toEqual([false]);
  });

  it('is its tail when there is nothing', async () => {
    const { text } = textOf([], 600_000);
    for await (const piece of text.pieces()) expect(piece).toBe('|false');
    expect(text.isOver).toBe(true);
  });

  it('breaks off when the directory cannot be read again', async () => {
    let isThere = true;
    const readAfter = async () => {
      if (!isThere) throw new Error('gone');
      return { entries: ENTRIES, truncated: false };
    };
    const text = new ListingText(FORM, readAfter, { keptMs: 0 });
    const pieces = text.pieces();
    await pieces.next();
    isThere = false;
    await waitFor(() => !text.isKept, 'the rest to be forgotten');
    await expect(pieces.next()).rejects.toThrow('gone');
  });
});
