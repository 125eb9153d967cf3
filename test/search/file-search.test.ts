import fc from 'fast-check';
import { expect, it } from 'vitest';
import {
  FileSearch,
  type Finder,
  type FoundMatch,
  type SearchRange,
  type SearchStep,
} from '../../src/search/file-search.ts';
import { LiteralFinder } from '../../src/search/literal-finder.ts';
import { MAX_LINE_BYTES } from '../../src/search/matches.ts';
import type { SearchQuery } from '../../src/search/search-query.ts';
import { MemoryFile } from '../support/core/memory-file.ts';

/** Looks through so many bytes at a time. */
class SmallFinder extends LiteralFinder implements Finder {
  override readonly blocks;

  constructor(text: string, partBytes: number, mode: SearchQuery['mode'] = 'literal') {
    super({ text, mode, case: 'sensitive' });
    const block = () => Buffer.alloc(partBytes + MAX_LINE_BYTES);
    this.blocks = [block(), block()] as const;
  }
}

async function stepsOf(
  file: MemoryFile,
  finder: Finder,
  range: Partial<SearchRange> = {},
): Promise<SearchStep[]> {
  const steps: SearchStep[] = [];
  const search = new FileSearch(file, finder, {
    ...{
      from: 0,
      size: file.bytes.length,
      direction: 'both',
      limit: 1000,
      onePerLine: false,
      timeMs: 60_000,
    },
    signal: new AbortController().signal,
    ...range,
  } as SearchRange);
  for await (const step of search.steps()) steps.push(step);
  return steps;
}

function matchesOf(steps: readonly SearchStep[]): FoundMatch[] {
  return steps.flatMap(({ matches }) => matches);
}

const places = (content: string) => [...content.matchAll(/ab/g)].map(({ index }) => index);

it('finds every match once, wherever parts begin and end, and whatever is searched first', async () => {
  const piece = fc.constantFrom('ab', 'a', 'b', '\n', 'ab\n', 'xxxxxxx', 'ö');
  const content = fc.array(piece, { maxLength: 40 }).map((pieces) => pieces.join(''));
  const range = fc.record({
    share: fc.double({ min: 0, max: 1, noNaN: true }),
    direction: fc.constantFrom('both' as const, 'forward' as const, 'backward' as const),
    partBytes: fc.integer({ min: 1, max: 50 }),
    maxReadBytes: fc.integer({ min: 1, max: 100 }),
  });
  await fc.assert(
    fc.asyncProperty(content, range, async (text, { share, direction, partBytes, maxReadBytes }) => {
      const file = new MemoryFile(text, { maxReadBytes });
      const { length: size } = file.bytes;
      const from = Math.floor(size * share);
      const steps = await stepsOf(file, new SmallFinder('ab', partBytes), { from, direction });
      const bytes = file.bytes.toString('latin1');
      const expected = places(bytes).filter((at) =>
        direction === 'both' ? true : direction === 'forward' ? at >= from : at < from,
      );
      const found = matchesOf(steps).map(({ at }) => at);
      expect([...found].sort((a, b) => a - b)).toEqual(expected);
      expect(steps.at(-1)?.end).toBe('complete');
      const [start, end] = { both: [0, size], forward: [from, size], backward: [0, from] }[direction];
      expect(steps.at(-1)?.searched).toEqual([start, end]);
    }),
    { numRuns: 150 },
  );
});

it('knows the line of each match, wherever parts begin and end', async () => {
  const file = new MemoryFile('one ab\ntwo ab two\nab three\n');
  for (const direction of ['both', 'forward', 'backward'] as const) {
    const from = direction === 'backward' ? file.bytes.length : 0;
    const steps = await stepsOf(file, new SmallFinder('ab', 13), { from, direction });
    const lines = matchesOf(steps).map(
      ({ lineStart, lineEnd }) => `${file.bytes.subarray(lineStart, lineEnd)}`,
    );
    expect(lines.sort()).toEqual(['ab three', 'one ab', 'two ab two']);
  }
});

it('goes outward in turns: what is near comes before what is far', async () => {
  const file = new MemoryFile('ab\n'.repeat(9));
  const steps = await stepsOf(file, new SmallFinder('ab', 3), { from: 13 });
  expect(matchesOf(steps).map(({ at }) => at)).toEqual([12, 9, 15, 6, 18, 3, 21, 0, 24]);
});

it('stops at the limit, and says up to where everything was found', async () => {
  const file = new MemoryFile('ab ab ab ab\n');
  const forward = await stepsOf(file, new SmallFinder('ab', 100), { limit: 2, direction: 'forward' });
  expect(forward).toMatchObject([{ end: 'limit', searched: [0, 6], matches: [{ at: 0 }, { at: 3 }] }]);
  const backward = await stepsOf(file, new SmallFinder('ab', 100), {
    limit: 2,
    from: 12,
    direction: 'backward',
  });
  expect(backward).toMatchObject([{ end: 'limit', searched: [4, 12], matches: [{ at: 9 }, { at: 6 }] }]);
  const all = await stepsOf(file, new SmallFinder('ab', 100), { limit: 4 });
  expect(all.at(-1)).toMatchObject({ end: 'complete', searched: [0, 12] });
});

it('goes on where it was told that everything before was found', async () => {
  const file = new MemoryFile('ab ab\nab ab ab\nab');
  const found: number[] = [];
  for (let from = 0, end: string | undefined; end !== 'complete'; ) {
    const steps = await stepsOf(file, new SmallFinder('ab', 4), { from, limit: 1, direction: 'forward' });
    found.push(...matchesOf(steps).map(({ at }) => at));
    const last = steps.at(-1) as SearchStep;
    end = last.end;
    from = last.searched[1];
  }
  expect(found).toEqual(places(file.bytes.toString()));
});

it('says what was searched when time is over', async () => {
  const file = new MemoryFile('ab\n'.repeat(9));
  const steps = await stepsOf(file, new SmallFinder('ab', 3), { from: 12, timeMs: -1 });
  expect(steps).toMatchObject([{ end: 'deadline', searched: [12, 15], matches: [{ at: 12 }] }]);
});

it('does not search what does not count, and is through when the file becomes shorter', async () => {
  const file = new MemoryFile('ab\nab\nab\n');
  const counted = await stepsOf(file, new SmallFinder('ab', 100), { size: 4 });
  expect(matchesOf(counted).map(({ at }) => at)).toEqual([0]);
  const cut = await stepsOf(file, new SmallFinder('ab', 3), { size: 100 });
  expect(cut.at(-1)).toMatchObject({ end: 'complete' });
  expect(matchesOf(cut)).toHaveLength(3);
});

it('ends with the reason of its signal, and reads no more', async () => {
  const file = new MemoryFile('ab\n'.repeat(100));
  const aborter = new AbortController();
  const reason = new Error('gone');
  let reads = 0;
  const { readInto } = file;
  file.readInto = (...read) => {
    reads++;
    if (reads === 5) aborter.abort(reason);
    return readInto.apply(file, read);
  };
  const searching = stepsOf(file, new SmallFinder('ab', 3), { signal: aborter.signal });
  await expect(searching).rejects.toBe(reason);
  expect(reads).toBeLessThan(8);
});
