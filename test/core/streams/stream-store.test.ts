import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { StreamStore } from '../../../src/core/streams/stream-store.ts';
import type { StreamState } from '../../../src/storage/records/stream-state.ts';
import { StorageFullError } from '../../../src/wire/errors.ts';
import { failingWrites, recordsOf } from '../../support/core/stored-records.ts';
import { temporaryDirectory } from '../../support/server/server.ts';

async function openStore() {
  const records = recordsOf(await temporaryDirectory());
  await records.open();
  onTestFinished(() => records.close());
  return { records, store: new StreamStore(records, false) };
}

const state = (more: Partial<StreamState> = {}): StreamState => ({ version: 1, size: 0, ...more });

test('a stream is remembered beside what else is remembered of its file', async () => {
  const { records, store } = await openStore();
  const append = { start: 0, state: 'open' } as const;
  const forks = [{ path: 'f', fingerprint: '2-2' }];
  await records.write(
    (draft) => {
      draft.set('1-1', { path: 'old', append, isForked: true });
      draft.setForks('1-1', forks);
    },
    { durable: false },
  );
  await store.save('1-1', 'new', state({ version: 7 }));
  expect(records.get('1-1')).toEqual({ path: 'new', append, isForked: true, stream: state({ version: 7 }) });
  expect(records.forks({ path: 'new', fingerprint: '1-1' })).toEqual(forks);
  expect([store.location('1-1'), store.version('1-1')]).toEqual(['new', 7]);
  expect([store.location('9-9'), store.version('9-9')]).toEqual([undefined, 0]);
});

test('a stream is used, too, while the store is opened anew', async () => {
  const { records, store } = await openStore();
  const ttl = state({ ttlSeconds: 100 });
  await records.write(
    (draft) => draft.set('1-1', { path: 'a', stream: ttl, accessedMs: 1000, dueMs: 101_000 }),
    { durable: false },
  );
  await failingWrites(records)();
  await store.touch('1-1', ttl);
  expect(records.get('1-1')?.accessedMs).toBeGreaterThan(1_000_000);
});

test('a stream that was deleted meanwhile is not remembered again', async () => {
  const { records, store } = await openStore();
  let isGone = false;
  const saved = store.save('1-1', 'a', state(), () => isGone);
  isGone = true;
  await saved;
  expect(records.get('1-1')).toBeUndefined();
});

test('a stream is due when its time is over, which begins anew when it is used', async () => {
  vi.useFakeTimers({ toFake: ['Date'], now: 1_000_000 });
  onTestFinished(() => {
    vi.useRealTimers();
  });
  const { records, store } = await openStore();
  const ttl = state({ ttlSeconds: 100 });
  const dueMs = () => records.get('1-1')?.dueMs;
  await store.save('1-1', 'a', ttl);
  expect([records.get('1-1')?.accessedMs, dueMs()]).toEqual([1_000_000, 1_100_000]);
  // A twentieth of that time, and no more, is known in memory only.
  vi.setSystemTime(1_004_999);
  await store.touch('1-1', ttl);
  expect(dueMs()).toBe(1_100_000);
  vi.setSystemTime(1_005_000);
  await store.touch('1-1', ttl);
  expect(dueMs()).toBe(1_105_000);
  // What is saved is no access, and knows the last one.
  vi.setSystemTime(1_006_000);
  await store.touch('1-1', ttl);
  vi.setSystemTime(1_050_000);
  await store.save('1-1', 'a', { ...ttl, version: 2 });
  expect([records.get('1-1')?.accessedMs, dueMs()]).toEqual([1_006_000, 1_106_000]);
  // With a day on which it is over in any case, that is what counts if it comes first.
  await store.save('1-1', 'a', { ...ttl, expiresAt: '1970-01-01T00:18:00Z' });
  expect(dueMs()).toBe(1_080_000);
  await store.save('1-1', 'a', state());
  expect(records.get('1-1')).toEqual({ path: 'a', stream: state() });
});

test('what nobody has to look at stays so when it is used', async () => {
  const { records, store } = await openStore();
  const stream = state({ ttlSeconds: 100 });
  await records.write((draft) => draft.set('1-1', { path: 'a', stream, accessedMs: 1 }), { durable: false });
  await store.touch('1-1', stream);
  expect(records.get('1-1')?.accessedMs).toBeGreaterThan(1);
  expect(records.get('1-1')).not.toHaveProperty('dueMs');
});

describe('an access', () => {
  const ttl = state({ ttlSeconds: 100 });

  async function openUnused() {
    const opened = await openStore();
    const record = { path: 'a', stream: ttl, accessedMs: 1, dueMs: 100_001 };
    await opened.records.write((draft) => draft.set('1-1', record), { durable: false });
    const writing = vi.spyOn(opened.records, 'write');
    onTestFinished(() => writing.mockRestore());
    return { ...opened, writing };
  }

  test('that cannot be noted is noted with the next one', async () => {
    const { records, store, writing } = await openUnused();
    writing.mockRejectedValueOnce(new StorageFullError('full'));
    await store.touch('1-1', ttl);
    expect(records.get('1-1')?.accessedMs).toBe(1);
    await store.touch('1-1', ttl);
    expect(records.get('1-1')?.accessedMs).toBeGreaterThan(1);
    await store.touch('1-1', ttl);
    expect(writing).toHaveBeenCalledTimes(2);
  });

  test('is noted once, however many there are at a time', async () => {
    const { records, store, writing } = await openUnused();
    await Promise.all(Array.from({ length: 10 }, () => store.touch('1-1', ttl)));
    expect(writing).toHaveBeenCalledTimes(1);
    expect(records.get('1-1')?.accessedMs).toBeGreaterThan(1);
  });

  test('is known though what is remembered cannot be read', async () => {
    const { records, store } = await openUnused();
    const reading = vi.spyOn(records, 'get').mockImplementationOnce(() => {
      throw new StorageFullError('full');
    });
    onTestFinished(() => reading.mockRestore());
    const beforeMs = Date.now();
    await store.touch('1-1', ttl);
    expect(store.accessedMs('1-1')).toBeGreaterThanOrEqual(beforeMs);
  });
});
