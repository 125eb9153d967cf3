import { expect, it, onTestFinished } from 'vitest';
import { FileSearch, type SearchRange, type SearchStep } from '../../src/search/file-search.ts';
import { PatternWorkers, type SoughtRequest } from '../../src/search/pattern-workers.ts';
import { patternOf } from '../../src/search/search-query.ts';
import { MemoryFile } from '../support/core/memory-file.ts';
import { PATIENCE_MS } from '../support/patience.ts';

/** What no computer is through with. */
const EVIL = { source: '(a+)+$', text: `good\n${'a'.repeat(60)}!` };

function startWorkers(stallMs = PATIENCE_MS): PatternWorkers {
  const workers = new PatternWorkers({ stallMs, idleMs: PATIENCE_MS });
  onTestFinished(() => workers.close());
  return workers;
}

const NEVER = new AbortController().signal;

function pattern(text: string): SoughtRequest {
  return { kind: 'pattern', pattern: patternOf({ text, mode: 'regex', case: 'sensitive' }) };
}

function rangeOf(file: MemoryFile, rest: Partial<SearchRange> = {}): SearchRange {
  return {
    ...{ from: 0, size: file.bytes.length, limit: 10, onePerLine: false, timeMs: 60_000 },
    direction: 'both',
    signal: new AbortController().signal,
    ...rest,
  };
}

it('finds in another thread, one search after the other', async () => {
  const workers = startWorkers();
  const file = new MemoryFile('a1\nb2\n');
  for (const [source, expected] of [
    ['[ab]\\d', [0, 3]],
    ['b.', [3]],
  ] as const) {
    const worker = workers.take(pattern(source), NEVER);
    const found: number[] = [];
    for await (const { matches } of new FileSearch(file, worker, rangeOf(file)).steps()) {
      found.push(...matches.map(({ at }) => at));
    }
    expect(found).toEqual(expected);
    worker.release();
  }
});

it('finds a text in another thread as in this one, also beside bytes that are no UTF-8', async () => {
  const workers = startWorkers();
  const file = new MemoryFile(Buffer.from('one \xff t\xc3\xb6\xc3\xb6t\n', 'latin1'));
  const query = { text: 'tööt', mode: 'literal', case: 'sensitive' } as const;
  const worker = workers.take({ kind: 'literal', query }, NEVER);
  const { value } = await new FileSearch(file, worker, rangeOf(file)).steps().next();
  expect(value?.matches).toEqual([{ at: 6, end: 12, lineStart: 0, lineEnd: 12 }]);
  worker.release();
});

it('uses the thread of a search that is over for the next one', async () => {
  const workers = startWorkers();
  const first = workers.take(pattern('a'), NEVER);
  const second = workers.take(pattern('a'), NEVER);
  expect(second === first).toBe(false);
  first.release();
  expect(workers.take(pattern('b'), NEVER) === first).toBe(true);
  await Promise.all([first, second].map((worker) => worker.terminate()));
});

it('gives up what takes too long, and says that nothing was searched', async () => {
  const workers = startWorkers(100);
  const file = new MemoryFile(EVIL.text);
  const worker = workers.take(pattern(EVIL.source), NEVER);
  const steps: SearchStep[] = [];
  for await (const step of new FileSearch(file, worker, rangeOf(file)).steps()) steps.push(step);
  expect(steps).toEqual([{ matches: [], searched: [0, 0], end: 'deadline' }]);
  worker.release();
  expect(workers.take(pattern('a'), NEVER) === worker).toBe(false);
});

it('ends in the middle of a match when nobody waits for it any more', async () => {
  const workers = startWorkers();
  const file = new MemoryFile(EVIL.text);
  const aborter = new AbortController();
  const { signal } = aborter;
  const worker = workers.take(pattern(EVIL.source), signal);
  const reason = new Error('gone');
  const { find } = worker;
  worker.find = (...wanted) => {
    queueMicrotask(() => aborter.abort(reason));
    return find.apply(worker, wanted);
  };
  const searching = new FileSearch(file, worker, rangeOf(file, { signal })).steps().next();
  await expect(searching).rejects.toBe(reason);
  expect(worker.hasEnded).toBe(true);
  worker.release();
});

it('keeps the thread of a search that is given up between two parts', async () => {
  const workers = startWorkers();
  const aborter = new AbortController();
  const worker = workers.take(pattern('a'), aborter.signal);
  aborter.abort();
  worker.release();
  expect(workers.take(pattern('a'), NEVER) === worker).toBe(true);
  worker.release();
});
