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
  expect(draft.get('a-1')).toEqual({ path: 'a', forks: [link('b')] });
  forgetFile(draft, 'b-1');
  expect([draft.get('a-1'), draft.get('b-1')]).toEqual([undefined, undefined]);
});

test('forks that are no more are forgotten of a source that lives, and it stays', () => {
  const draft = emptyDraft();
  make(draft, 'a');
  make(draft, 'b', 'a');
  make(draft, 'c', 'a');
  removeForks(draft, link('a'), new Set(['b-1', 'x-1']));
  expect(draft.get('a-1')?.forks).toEqual([link('c')]);
  removeStream(draft, link('a'), new Set(['c-1']));
  expect([draft.get('a-1'), draft.tombstone('a')]).toEqual([undefined, undefined]);
});

test('a stream made anew at the path of a source is not taken for it', () => {
  const draft = emptyDraft();
  make(draft, 'a');
  make(draft, 'b', 'a');
  draft.delete('a-1');
  const other = { path: 'a', fingerprint: 'other' };
  draft.setTombstone({ ...other, forks: [link('x')] });
  removeStream(draft, link('b'), NONE);
  expect(draft.tombstone('a')).toEqual({ ...other, forks: [link('x')] });
});

test('whatever is forked and deleted, a name is kept exactly while a stream lives that came from there', () => {
  type Node = { source: number | undefined; isDeleted: boolean };
  const step = fc.oneof(
    fc.record({ kind: fc.constant('make' as const), of: fc.option(fc.nat(20), { nil: undefined }) }),
    fc.record({ kind: fc.constant('delete' as const), of: fc.nat(20) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const draft = emptyDraft();
      const nodes: Node[] = [];
      for (const { kind, of } of steps) {
        const at = of === undefined || nodes.length === 0 ? undefined : of % nodes.length;
        if (kind === 'make') {
          const source = at !== undefined && !nodes[at]?.isDeleted ? at : undefined;
          make(draft, `n${nodes.length}`, source === undefined ? undefined : `n${source}`);
          nodes.push({ source, isDeleted: false });
        } else if (at !== undefined && !nodes[at]?.isDeleted) {
          removeStream(draft, link(`n${at}`), NONE);
          (nodes[at] as Node).isDeleted = true;
        }
      }
      const isNeeded = (index: number): boolean =>
        nodes.some((node, i) => node.source === index && (!node.isDeleted || isNeeded(i)));
      for (const [i, { isDeleted }] of nodes.entries()) {
        expect(draft.get(`n${i}-1`) !== undefined).toBe(!isDeleted);
        expect(draft.tombstone(`n${i}`) !== undefined).toBe(isDeleted && isNeeded(i));
      }
    }),
  );
});
