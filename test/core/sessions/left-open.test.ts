import { expect, onTestFinished, test, vi } from 'vitest';
import { Quotas } from '../../../src/core/limits/quotas.ts';
import { Permit } from '../../../src/core/permit.ts';
import { AppendHistory } from '../../../src/core/sessions/append-history.ts';
import { StreamStore } from '../../../src/core/streams/stream-store.ts';
import {
  AppendBusyError,
  PositionMismatchError,
  ServerClosingError,
  StorageFullError,
} from '../../../src/wire/errors.ts';
import { ResourcePath } from '../../../src/wire/resource-path.ts';
import { CollectingSink, RecordingOwner, startCore } from '../../support/core/harness.ts';
import { rememberedIn } from '../../support/core/stored-records.ts';
import { appendLine, makeStream } from '../../support/core/streams.ts';
import { NEVER_MS } from '../../support/patience.ts';
import { waitFor } from '../../support/wait-for.ts';

const STREAM = ResourcePath.parse('stream');
const session = 'x'.repeat(32);

/** A stream to which somebody has appended whose connection is lost. */
async function lostAppend() {
  const running = await startCore({ graceMs: NEVER_MS });
  await makeStream(running.core, 'stream', 'first\n');
  const lease = await running.open('stream', new RecordingOwner(), { session });
  lease.append(Buffer.from('own\n'));
  await lease.ready();
  lease.release();
  return running;
}

/** The next server over the root of one that was closed meanwhile. */
async function startAgain(before: Awaited<ReturnType<typeof startCore>>, graceMs: number) {
  await before.core.close();
  return startCore({ graceMs, directory: before.directory });
}

test('a single append is refused while a session waits that the server before this one has left open', async () => {
  const { core, open, contents } = await startAgain(await lostAppend(), NEVER_MS);
  await expect(appendLine(core, 'stream', 'foreign\n')).rejects.toThrow(AppendBusyError);
  const back = await open('stream', new RecordingOwner(), { session, expect: 6 });
  expect(back.received).toBe(10);
  await back.end('finished');
  await appendLine(core, 'stream', 'foreign\n');
  expect((await contents('stream')).toString()).toBe('first\nown\nforeign\n');
});

test('a session that was left open is waited for from when its client can come, however long the start takes', async () => {
  const before = await lostAppend();
  const { now } = performance;
  let laterMs = 0;
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => now.call(performance) + laterMs);
  const counting = vi.spyOn(Quotas.prototype, 'start').mockImplementation(async () => {
    laterMs = 2 * NEVER_MS;
  });
  onTestFinished(() => {
    clock.mockRestore();
    counting.mockRestore();
  });
  const { core } = await startAgain(before, NEVER_MS);
  expect(laterMs).toBeGreaterThan(0);
  await expect(appendLine(core, 'stream', 'foreign\n')).rejects.toThrow(AppendBusyError);
});

test('a session that was left open does not go on once others have appended after its grace', async () => {
  const before = await startAgain(await lostAppend(), 0);
  await appendLine(before.core, 'stream', 'foreign\n');
  // What it ended with holds for all servers, also if they would wait for it.
  const { open } = await startAgain(before, NEVER_MS);
  const back = open('stream', new RecordingOwner(), { session, expect: 6 });
  await expect(back).rejects.toThrow(PositionMismatchError);
});

test('a session that was left open goes on after its grace when nobody has appended', async () => {
  const { open } = await startAgain(await lostAppend(), 0);
  const back = await open('stream', new RecordingOwner(), { session, expect: 6 });
  expect(back.received).toBe(10);
  await back.end('finished');
});

test('nobody appends to what a session leaves open while the server closes', async () => {
  const before = await lostAppend();
  // Somebody who reads keeps the server from closing at once.
  await makeStream(before.core, 'other', 'line\n');
  const reads = await before.core.followers.openLive(Permit.own(ResourcePath.parse('other')));
  const resource = await before.core.resources.acquire(Permit.own(STREAM));
  const closed = before.core.close();
  await waitFor(() => !resource.isClaimed, 'the end of the session');
  await expect(appendLine(before.core, 'stream', 'foreign\n')).rejects.toThrow(ServerClosingError);
  before.core.resources.release(resource);
  reads.release();
  await closed;
  const { open } = await startAgain(before, NEVER_MS);
  const back = await open('stream', new RecordingOwner(), { session, expect: 6 });
  expect(back.received).toBe(10);
  await back.end('finished');
});

test('a stream is followed while its appender is awaited, though the disk is full', async () => {
  const { core } = await startAgain(await lostAppend(), NEVER_MS);
  const saving = vi.spyOn(StreamStore.prototype, 'save');
  saving.mockRejectedValue(new StorageFullError('the disk is full'));
  onTestFinished(() => saving.mockRestore());
  const sink = new CollectingSink();
  sink.follower = await core.followers.follow(Permit.own(STREAM), {}, sink, new AbortController().signal);
  sink.drain();
  await waitFor(() => sink.bytes.length === 10, 'what is there');
  expect([saving.mock.calls.length, sink.endReason]).toEqual([1, undefined]);
});

test('nobody begins to read live while the server closes', async () => {
  const { core } = await startCore();
  await makeStream(core, 'stream', 'first\n');
  const reads = await core.followers.openLive(Permit.own(STREAM));
  const closed = core.close();
  await expect(core.followers.openLive(Permit.own(STREAM))).rejects.toThrow(ServerClosingError);
  reads.release();
  await closed;
});

test('a session that is refused because the server closes leaves what was remembered of the one before', async () => {
  const { core, open, directory } = await startCore();
  const first = await open('f');
  first.append(Buffer.from('all'));
  await first.end('finished', 0);
  const { begin } = AppendHistory.prototype;
  const beginning = vi.spyOn(AppendHistory.prototype, 'begin');
  onTestFinished(() => beginning.mockRestore());
  beginning.mockImplementationOnce(async function closing(this: AppendHistory, ...args) {
    void core.sessions.close();
    await begin.apply(this, args);
  });
  await expect(open('f')).rejects.toBeInstanceOf(ServerClosingError);
  await core.close();
  expect(await rememberedIn(directory)).toEqual({
    f: expect.objectContaining({ state: 'finished', status: 0 }),
  });
});
