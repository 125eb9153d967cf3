import { describe, expect, it } from 'vitest';
import { type Group, GroupOutline, MAX_GROUP_MARKS } from '../../../src/page/groups/group-outline.ts';
import { MARK_EXPRESSION, marksIn } from '../../../src/page/groups/marks.ts';

const encoder = new TextEncoder();

function bytesOf(...lines: string[]): Uint8Array {
  return encoder.encode(lines.map((line) => `${line}\n`).join(''));
}

function outlineOf(bytes: Uint8Array): GroupOutline {
  const outline = new GroupOutline();
  outline.learn({ from: 0, to: bytes.length }, marksIn(bytes, 0));
  return outline;
}

/** The lines of a group, header first. */
function linesOf(bytes: Uint8Array, { start, end }: Group): string[] {
  return new TextDecoder().decode(bytes.subarray(start, end)).trimEnd().split('\n');
}

/** What is shown: lines that are not hidden. */
function shown(bytes: Uint8Array, outline: GroupOutline): string {
  let text = '';
  let from = 0;
  for (const range of [...outline.hidden, { from: bytes.length, to: bytes.length }]) {
    text += new TextDecoder().decode(bytes.subarray(from, range.from));
    from = range.to;
  }
  return text;
}

const GITHUB = bytesOf(
  'a',
  '::group::Outer',
  'b',
  '##[group]Inner',
  'c',
  '##[endgroup]',
  'd',
  '::endgroup::',
  'e',
);

describe('the groups of a log', () => {
  it('are those of GitHub, nested', () => {
    const outline = outlineOf(GITHUB);
    expect(outline.groups.map(({ title, depth }) => [title, depth])).toEqual([
      ['Outer', 0],
      ['Inner', 1],
    ]);
    expect(linesOf(GITHUB, outline.groups[1]!)).toEqual(['##[group]Inner', 'c', '##[endgroup]']);
    expect(shown(GITHUB, outline)).toBe('a\n::group::Outer\ne\n');
  });

  it('are those of GitLab, one ending in the line in which the next begins, with the time each took', () => {
    const bytes = bytesOf(
      '\x1b[0Ksection_start:1700000000:prepare[collapsed=true]\r\x1b[0K\x1b[36;1mPreparing\x1b[0;m',
      'one',
      '\x1b[0Ksection_end:1700000007:prepare\r\x1b[0K\x1b[0Ksection_start:1700000007:build\r\x1b[0KBuilding',
      'two',
      '\x1b[0Ksection_end:1700000009:build\r\x1b[0K',
    );
    const outline = outlineOf(bytes);
    expect(outline.groups.map(({ title, durationMs }) => [title, durationMs])).toEqual([
      ['Preparing', 7000],
      ['Building', 2000],
    ]);
    // As GitLab has it: folded only if the section says so.
    expect(outline.groups.map((group) => outline.isFolded(group))).toEqual([true, false]);
    expect(outline.groups.map((group) => linesOf(bytes, group).length)).toEqual([2, 3]);
  });

  it('are without what GitLab writes behind their end, in the same line', () => {
    const lines = [
      'section_start:1560896352:outer\r\x1b[0KOuter',
      'section_start:1560896355:step[collapsed=true]\r\x1b[0KStep',
      'in step',
      'section_end:1560896359:step\r\x1b[0K\x1b[0Ksection_end:1560896359:outer\r\x1b[0K\x1b[32;1mJob succeeded\x1b[0;m',
    ];
    const bytes = bytesOf(...lines);
    const outline = outlineOf(bytes);
    expect(shown(bytes, outline)).toContain('Job succeeded');
    outline.setAllFolded(true);
    expect(shown(bytes, outline)).toBe(`${lines[0]}\n${lines[3]}\n`);
    expect(outline.groups.map(({ durationMs }) => durationMs)).toEqual([7000, 4000]);
  });

  it('have their end in them where nothing is behind it', () => {
    const bytes = bytesOf(
      'section_start:1:a\r\x1b[0KA',
      'section_start:1:b\r\x1b[0KB',
      'section_end:2:b\r\x1b[0Ksection_end:2:a\r\x1b[0K',
      'after',
    );
    const outline = outlineOf(bytes);
    outline.setFolded(outline.groups[1]!, true);
    expect(shown(bytes, outline)).toBe('section_start:1:a\r\x1b[0KA\nsection_start:1:b\r\x1b[0KB\nafter\n');
  });

  it('are those of Buildkite, which end where the next begins', () => {
    const bytes = bytesOf(
      '\x1b_bk;t=1000\x07~~~ Preparing',
      'one',
      '\x1b_bk;t=3500\x07--- :npm: Install',
      'two',
      '+++ Test',
      'three',
      '--- Failed',
      'oh',
      '^^^ +++',
      '--- Last',
    );
    const outline = outlineOf(bytes);
    const looks = outline.groups.map((group) => [group.title, group.isFailed, outline.isFolded(group)]);
    expect(looks).toEqual([
      ['Preparing', false, true],
      [':npm: Install', false, true],
      ['Test', false, false],
      ['Failed', true, false],
      ['Last', false, false],
    ]);
    expect(outline.groups[0]!.durationMs).toBe(2500);
  });

  it('are open while they go on, and where something has failed', () => {
    const live = outlineOf(bytesOf('::group::Live', 'x'));
    expect(live.isFolded(live.groups[0]!)).toBe(false);
    const failed = outlineOf(
      bytesOf(
        '::group::A',
        '::group::B',
        '##[error]Process completed with exit code 1.',
        '::endgroup::',
        '::endgroup::',
      ),
    );
    expect(failed.groups.map((group) => failed.isFolded(group))).toEqual([false, false]);
  });

  it('take their times from the lines where those begin with one', () => {
    const bytes = bytesOf(
      '2026-01-02T03:04:05.5000000Z ##[group]Run npm test',
      '2026-01-02T03:04:05.6000000Z x',
      '2026-01-02T03:04:07.0000000Z ##[endgroup]',
    );
    expect(outlineOf(bytes).groups).toMatchObject([{ title: 'Run npm test', durationMs: 1500 }]);
  });

  it('are no diffs, and no results of go test', () => {
    const bytes = bytesOf(
      '--- a/file',
      '+++ b/file',
      '@@ -1 +1 @@',
      '--- PASS: TestOne (0.00s)',
      '----',
      '---x',
    );
    expect(outlineOf(bytes).groups).toEqual([]);
  });

  it('are folded and opened one by one, all at once, and where a link points', () => {
    const outline = outlineOf(GITHUB);
    const [outer, inner] = outline.groups as [Group, Group];
    outline.setFolded(outer, false);
    expect(shown(GITHUB, outline)).not.toContain('\nc\n');
    expect(shown(GITHUB, outline)).toContain('\nd\n');
    outline.setAllFolded(false);
    expect(outline.hidden).toEqual([]);
    outline.setAllFolded(true);
    expect(outline.hidden).toEqual([{ from: outer.bodyStart, to: outer.end }]);
    expect(outline.hiddenAround(inner.start)).toEqual(outline.hidden[0]);
    expect(outline.hiddenAround(outer.start)).toBeUndefined();
    expect(outline.hiddenAround(outer.end!)).toBeUndefined();
    outline.reveal({ from: inner.bodyStart, to: inner.bodyStart + 1 });
    expect(outline.hidden).toEqual([]);
    expect(outline.headerAt(inner.start)).toBe(outline.groups[1]);
    expect(outline.headerAt(inner.start + 1)).toBeUndefined();
  });

  it('are the same whichever parts are learnt first, and never go across what is not known', () => {
    const marks = marksIn(GITHUB, 0);
    const cut = marks[1]!.start;
    const outline = new GroupOutline();
    const learn = (from: number, to: number) =>
      outline.learn(
        { from, to },
        marks.filter(({ start }) => start >= from && start < to),
      );
    learn(marks[3]!.start, GITHUB.length);
    expect(outline.groups).toEqual([]);
    learn(0, cut);
    expect(outline.groups).toMatchObject([{ title: 'Outer', end: undefined }]);
    learn(cut, marks[3]!.start);
    expect(outline.groups).toEqual(outlineOf(GITHUB).groups);
    learn(0, GITHUB.length);
    expect(outline.groups).toEqual(outlineOf(GITHUB).groups);
  });

  it('are bounded in number', () => {
    const outline = outlineOf(
      bytesOf(...Array.from({ length: MAX_GROUP_MARKS }, (_, index) => `::group::${index}`)),
    );
    expect(outline.isFull).toBe(true);
    outline.learn({ from: 1e9, to: 1e9 + 100 }, marksIn(bytesOf('::group::more'), 1e9));
    expect(outline.groups).toHaveLength(MAX_GROUP_MARKS);
  });

  it('can be searched for: the expression matches each line with a mark, and no other', () => {
    const lines = [
      '::group::a',
      '::endgroup::',
      '##[error]x',
      '2026-01-02T03:04:05.5000000Z ##[group]Run',
      '2026-01-02T03:04:05.500000Z 00O section_start:1700000000:x',
      '--- name',
      '^^^ +++',
      'ERROR: Job failed: exit code 1',
    ];
    const expression = new RegExp(MARK_EXPRESSION, 'm');
    for (const line of lines) {
      expect(expression.test(line)).toBe(true);
      expect(marksIn(encoder.encode(line), 0)).toHaveLength(1);
      expect(expression.test(` ${line}`)).toBe(false);
    }
  });
});
