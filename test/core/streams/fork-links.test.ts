import fc from 'fast-check';
import { expect, test } from 'vitest';
import { addFork, forgetFile, removeForks, removeStream } from '../../../src/core/streams/fork-links.ts';
import { RecordDraft } from '../../../src/storage/records/record-draft.ts';
import type { StreamLink } from '../../../src/storage/records/stream-state.ts';

const NONE: ReadonlySet<string> = new Set();

const link = (name: string): StreamLink => ({ path: name, fingerprint: `${name}-1` });

/** Records in memory, which are changed like those on the disk. */
function emptyDraft(): RecordDraft {
  return new RecordDraft(() => undefined);
}

function make(draft: RecordDraft, name: string, source?: string): void {
  const origin = source === undefined ? undefined : { ...link(source), inherited: [] };
  draft.set(link(name).fingerprint, {
    path: name,
    stream: { version: 1, size: 0, ...(origin && { origin }) },
  });
  if (origin !== undefined) addFork(draft, origin, link(name));
}

test('a source knows its forks, also when nothing else is remembered of it, and forgets them', () => {
  const draft = emptyDraft();
  make(draft, 'b', 'a');
  expect(draft.get('a-1')).toEqual({ path: 'a', isForked: true });
  expect(draft.forks(link('a'))).toEqual([link('b')]);
  forgetFile(draft, 'b-1');
  expect([draft.get('a-1'), draft.get('b-1'), draft.forks(link('a'))]).toEqual([undefined, undefined, []]);
});

test('forks that are no more are forgotten of a source that lives, and it stays', () => {
  const draft = emptyDraft();
  make(draft, 'a');
  make(draft, 'b', 'a');
  make(draft, 'c', 'a');
  removeForks(draft, link('a'), new Set(['b-1', 'x-1']));
  expect(draft.forks(link('a'))).toEqual([link('c')]);
  removeStream(draft, link('a'), new Set(['c-1']));
  expect([draft.get('a-1'), draft.tombstone('a')]).toEqual([undefined, undefined]);
});

test('a stream made anew at the path of a source is not taken for it', () => {
  const draft = emptyDraft();
  make(draft, 'a');
  make(draft, 'b', 'a');
  draft.delete('a-1');
  const other = { path: 'a', fingerprint: 'other' };
  draft.setTombstone(other);
  draft.setForks('other', [link('x')]);
  removeStream(draft, link('b'), NONE);
  expect([draft.tombstone('a'), draft.forks(other)]).toEqual([other, [link('x')]]);
});

/** Puts forks into the records and tombstones of their sources, as they were before they were remembered apart. */
function asBefore(stored: Map<string, string>): void {
  const parsed = (key: string) => JSON.parse(stored.get(key) as string);
  for (const key of [...stored.keys()].filter((each) => each.startsWith('forks!'))) {
    const fingerprint = key.slice('forks!'.length);
    const isOf = (each: string) => each.startsWith('tombstone!') && parsed(each).fingerprint === fingerprint;
    const holder = stored.has(`file!${fingerprint}`) ? `file!${fingerprint}` : [...stored.keys()].find(isOf);
    const { isForked: _, ...before } = parsed(holder as string);
    stored.set(holder as string, JSON.stringify({ ...before, forks: parsed(key) }));
    stored.delete(key);
  }
}

/** Makes changes of what is stored. */
function change(stored: Map<string, string>, action: (draft: RecordDraft) => void): void {
  const draft = new RecordDraft((key) => stored.get(key));
  action(draft);
  for (const [key, value] of draft.changes) {
    if (value === undefined) stored.delete(key);
    else stored.set(key, value);
  }
}

test('forks that a record has in it are not lost, whoever replaces it', () => {
  const stored = new Map<string, string>();
  change(stored, (draft) => {
    make(draft, 'a');
    make(draft, 'b', 'a');
  });
  asBefore(stored);
  expect(stored.has('forks!a-1')).toBe(false);
  change(stored, (draft) => {
    expect(draft.forks(link('a'))).toEqual([link('b')]);
    draft.set('a-1', { ...draft.get('a-1'), path: 'moved' });
  });
  expect(stored.get('file!a-1')).not.toContain('b-1');
  expect(stored.get('forks!a-1')).toBe(JSON.stringify([link('b')]));
  change(stored, (draft) => removeStream(draft, link('a'), NONE));
  change(stored, (draft) => removeStream(draft, link('b'), NONE));
  expect(stored).toEqual(new Map());
});

test('forks are not damaged with the record of their source', () => {
  const stored = new Map<string, string>();
  change(stored, (draft) => make(draft, 'b', 'a'));
  stored.set('file!a-1', 'damaged');
  change(stored, (draft) => {
    draft.delete('a-1');
    draft.set('a-1', { path: 'a', append: { start: 0, state: 'interrupted' } });
    removeStream(draft, link('a'), NONE);
  });
  change(stored, (draft) => {
    expect([draft.tombstone('a'), draft.forks(link('a'))]).toEqual([link('a'), [link('b')]]);
  });
});

test('whatever is forked and deleted, a name is kept exactly while a stream lives that came from there', () => {
  type Node = { source: number | undefined; isDeleted: boolean };
  const step = fc.oneof(
    fc.record({ kind: fc.constant('make' as const), of: fc.option(fc.nat(20), { nil: undefined }) }),
    fc.record({ kind: fc.constant('delete' as const), of: fc.nat(20) }),
    fc.record({ kind: fc.constant('as before' as const), of: fc.constant(undefined) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const stored = new Map<string, string>();
      const nodes: Node[] = [];
      for (const { kind, of } of steps) {
        const at = of === undefined || nodes.length === 0 ? undefined : of % nodes.length;
        if (kind === 'as before') asBefore(stored);
        else if (kind === 'make') {
          const source = at !== undefined && !nodes[at]?.isDeleted ? at : undefined;
          change(stored, (draft) => {
            make(draft, `n${nodes.length}`, source === undefined ? undefined : `n${source}`);
          });
          nodes.push({ source, isDeleted: false });
        } else if (at !== undefined && !nodes[at]?.isDeleted) {
          change(stored, (draft) => removeStream(draft, link(`n${at}`), NONE));
          (nodes[at] as Node).isDeleted = true;
        }
      }
      const isNeeded = (index: number): boolean =>
        nodes.some((node, i) => node.source === index && (!node.isDeleted || isNeeded(i)));
      const has: string[] = [];
      for (const [i, { isDeleted }] of nodes.entries()) {
        if (!isDeleted) has.push(`file!n${i}-1`);
        if (isDeleted && isNeeded(i)) has.push(`tombstone!n${i}`);
        if (isNeeded(i)) has.push(`forks!n${i}-1`);
      }
      const keys = [...stored].flatMap(([key, text]) => {
        const { forks, fingerprint } = JSON.parse(text);
        return forks ? [key, `forks!${fingerprint ?? key.slice('file!'.length)}`] : [key];
      });
      expect(keys.sort()).toEqual(has.sort());
    }),
  );
});
