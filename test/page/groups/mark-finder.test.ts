import { describe, expect, it } from 'vitest';
import { GroupOutline } from '../../../src/page/groups/group-outline.ts';
import { type FindMarks, MarkFinder } from '../../../src/page/groups/mark-finder.ts';
import { MARK_EXPRESSION, marksIn } from '../../../src/page/groups/marks.ts';
import { waitFor } from '../../support/wait-for.ts';

const encoder = new TextEncoder();

/** A log of many jobs, and groups of two kinds in each. */
const LOG = encoder.encode(
  Array.from({ length: 200 }, (_, job) =>
    [
      `section_start:${1000 + job}:job-${job}[collapsed=true]\r\x1b[0KJob ${job}`,
      `::group::Steps of ${job}`,
      'x'.repeat(job),
      '::endgroup::',
      `section_end:${1010 + job}:job-${job}\r\x1b[0K`,
    ].join('\n'),
  ).join('\n'),
);

/** What the server does: matches, and after so many lines how far it is. */
function findIn(bytes: Uint8Array, linesAtATime: number): { find: FindMarks; asked: number[] } {
  const expression = new RegExp(MARK_EXPRESSION);
  const asked: number[] = [];
  const find: FindMarks = async function* (from) {
    asked.push(from);
    let count = 0;
    let lineStart = from;
    for (let lines = 1; lineStart < bytes.length; lines++) {
      const feed = bytes.indexOf(0x0a, lineStart);
      const lineEnd = feed === -1 ? bytes.length : feed;
      const matched = expression.exec(new TextDecoder().decode(bytes.subarray(lineStart, lineEnd)))?.[0];
      if (matched !== undefined) {
        count += 1;
        yield { at: lineStart, length: matched.length, lineStart, lineEnd };
      }
      lineStart = lineEnd + 1;
      if (lines % linesAtATime === 0) yield { progress: [from, lineStart], count };
    }
    yield { end: 'complete', searched: [from, bytes.length], count };
  };
  return { find, asked };
}

function learnLines(outline: GroupOutline, bytes: Uint8Array, from: number): void {
  outline.learn({ from, to: bytes.length }, marksIn(bytes.subarray(from), from));
}

it('looks for marks once in a line, however many colours it begins with', () => {
  const colours = '\x1b[1m'.repeat(100_000);
  const before = performance.now();
  expect(marksIn(encoder.encode(`${colours}none\n`), 0)).toEqual([]);
  const [mark] = marksIn(encoder.encode(`${colours}2026-01-02T03:04:05Z ${colours}::group::a\n`), 0);
  expect(mark?.title).toBe('a');
  // If each way to share them out were tried it would be minutes.
  expect(performance.now() - before).toBeLessThan(5000);
});

const whole = new GroupOutline();
learnLines(whole, LOG, 0);

/** Where the last five lines begin. */
const TAIL =
  LOG.length - encoder.encode(new TextDecoder().decode(LOG).split('\n').slice(-5).join('\n')).length;

describe('a search for the marks of a whole resource', () => {
  it('tells all groups, once the last lines have shown that there are some', async () => {
    for (const linesAtATime of [1, 7, 10_000]) {
      const outline = new GroupOutline();
      const { find, asked } = findIn(LOG, linesAtATime);
      const finder = new MarkFinder(
        outline,
        find,
        async (from, to) => LOG.slice(from, to),
        () => {},
      );
      finder.look();
      expect(asked).toEqual([]);
      learnLines(outline, LOG, TAIL);
      finder.look();
      await waitFor(() => outline.gap === undefined, 'all to be known');
      expect(outline.groups).toEqual(whole.groups);
      finder.look();
      expect(asked).toEqual([0]);
    }
  });

  it('reads lines that are near each other at once, and no more than it has to', async () => {
    const outline = new GroupOutline();
    learnLines(outline, LOG, TAIL);
    const reads: number[] = [];
    const read = async (from: number, to: number) => {
      reads.push(to - from);
      return LOG.slice(from, to);
    };
    new MarkFinder(outline, findIn(LOG, 3).find, read, () => {}).look();
    await waitFor(() => outline.gap === undefined, 'all to be known');
    expect(Math.max(...reads)).toBeLessThanOrEqual(64 * 1024);
    expect(reads.length).toBeLessThan(12);
  });

  it('is not begun for a log without marks', () => {
    const outline = new GroupOutline();
    outline.learn({ from: 1000, to: 2000 }, []);
    const { find, asked } = findIn(LOG, 1);
    new MarkFinder(
      outline,
      find,
      async () => LOG,
      () => {},
    ).look();
    expect(asked).toEqual([]);
  });

  it('that fails is not tried again at once, and leaves what is known', async () => {
    const outline = new GroupOutline();
    learnLines(outline, LOG, TAIL);
    let tries = 0;
    const find: FindMarks = async function* () {
      tries += 1;
      yield { progress: [0, 0], count: 0 };
      throw new Error('cut');
    };
    const finder = new MarkFinder(
      outline,
      find,
      async () => LOG,
      () => {},
    );
    finder.look();
    await waitFor(() => tries === 1, 'the search to begin');
    await new Promise(setImmediate);
    finder.look();
    expect(tries).toBe(1);
    expect(outline.groups).toHaveLength(2);
  });
});
