import { expect, test } from 'vitest';
import { isDamaged } from '../../../src/storage/records/file-record.ts';
import { RecordDraft } from '../../../src/storage/records/record-draft.ts';

const STREAM = { version: 1, size: 0 };

/** Changes of what is stored, and what would be stored after them. */
function draftOf(stored: Record<string, unknown> = {}) {
  const before = new Map(
    Object.entries(stored).map(([key, value]) => [
      key,
      typeof value === 'string' ? value : JSON.stringify(value),
    ]),
  );
  const draft = new RecordDraft((key) => before.get(key));
  const after = () => {
    const merged = new Map<string, string | undefined>([...before, ...draft.changes]);
    return Object.fromEntries([...merged].filter(([, value]) => value !== undefined));
  };
  return { draft, after };
}

test('what is read is what it will be, and the store is not asked for what has been changed', () => {
  const { draft } = draftOf({ 'file!1': { path: 'a', stream: STREAM } });
  expect(draft.get('1')).toEqual({ path: 'a', stream: STREAM });
  draft.set('1', { path: 'b', stream: STREAM });
  expect(draft.get('1')).toEqual({ path: 'b', stream: STREAM });
  draft.delete('1');
  expect(draft.get('1')).toBeUndefined();
});

test('a file is due once, at its last time, and not at all when it is forgotten', () => {
  const { draft, after } = draftOf();
  const due = () => Object.keys(after()).filter((key) => key.startsWith('due!'));
  draft.set('1', { path: 'a', stream: STREAM, dueMs: 5000 });
  draft.set('1', { path: 'a', stream: STREAM, dueMs: 7000 });
  expect(due()).toEqual(['due!0000000000007000!1']);
  draft.set('1', { path: 'a', stream: STREAM });
  expect(due()).toEqual([]);
  draft.set('1', { path: 'a', stream: STREAM, dueMs: 9000 });
  draft.delete('1');
  expect(after()).toEqual({});
});

test('what a file is forked to is forgotten with it, and that of a tombstone with the tombstone', () => {
  const forks = [{ path: 'f', fingerprint: '2' }];
  const { draft, after } = draftOf({
    'file!1': { path: 'a', isForked: true },
    'forks!1': forks,
    'tombstone!b': { path: 'b', fingerprint: '3' },
    'forks!3': forks,
  });
  draft.delete('1');
  draft.deleteTombstone('b');
  expect(after()).toEqual({});
});

test('a tombstone of a file that is there leaves it its forks', () => {
  const forks = [{ path: 'f', fingerprint: '2' }];
  const { draft } = draftOf({
    'file!1': { path: 'a', isForked: true },
    'forks!1': forks,
    'tombstone!a': { path: 'a', fingerprint: '1' },
  });
  draft.deleteTombstone('a');
  expect([draft.tombstone('a'), draft.forks({ path: 'a', fingerprint: '1' })]).toEqual([undefined, forks]);
});

test('forks that were remembered in the record itself are kept when it is replaced', () => {
  const forks = [{ path: 'f', fingerprint: '2' }];
  const { draft, after } = draftOf({ 'file!1': { path: 'a', forks } });
  draft.set('1', { path: 'b', isForked: true });
  expect(after()).toEqual({
    'file!1': JSON.stringify({ path: 'b', isForked: true }),
    'forks!1': JSON.stringify(forks),
  });
});

test('it is told which damaged records were replaced, and what is whole of one that is forgotten stays', () => {
  const forks = [{ path: 'f', fingerprint: '2' }];
  const { draft, after } = draftOf({ 'file!1': 'no JSON', 'file!3': '{"path":7}', 'forks!3': forks });
  expect(isDamaged(draft.get('1'))).toBe(true);
  draft.set('1', { path: 'a', stream: STREAM });
  draft.delete('3');
  expect([...draft.damaged]).toEqual(['1']);
  expect(after()).toEqual({
    'file!1': JSON.stringify({ path: 'a', stream: STREAM }),
    'forks!3': JSON.stringify(forks),
  });
});

test('a removal is noted until it is done', () => {
  const { draft, after } = draftOf();
  draft.beginRemoval('1', 'a');
  expect([draft.isBeingRemoved('1'), draft.isBeingRemoved('2')]).toEqual([true, false]);
  draft.endRemoval('1');
  expect([draft.isBeingRemoved('1'), after()]).toEqual([false, {}]);
});
