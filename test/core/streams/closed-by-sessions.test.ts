import { expect, onTestFinished, test, vi } from 'vitest';
import { Permit } from '../../../src/core/permit.ts';
import { StreamStore } from '../../../src/core/streams/stream-store.ts';
import { OutcomeUnknownError, StorageFullError } from '../../../src/wire/errors.ts';
import { ResourcePath } from '../../../src/wire/resource-path.ts';
import { CollectingSink, RecordingOwner, startCore } from '../../support/core/harness.ts';
import { recordsIn } from '../../support/core/stored-records.ts';
import { appendLine, makeStream } from '../../support/core/streams.ts';
import { systemError } from '../../support/disk/small-disk.ts';
import { waitFor } from '../../support/wait-for.ts';

const STREAM = ResourcePath.parse('stream');

/** A stream that a session is closing: what is remembered of that waits. */
async function closing() {
  const core = await startCore();
  onTestFinished(() => core.core.close());
  await makeStream(core.core, 'stream', 'first\n');
  const owner = new RecordingOwner();
  const appender = await core.open('stream', owner, { session: 'x'.repeat(32), closes: true });
  appender.append(Buffer.from('last\n'));
  const { save } = StreamStore.prototype;
  let settle!: (outcome: 'saved' | 'refused' | 'unknown') => void;
  const outcome = new Promise<'saved' | 'refused' | 'unknown'>((resolve) => {
    settle = resolve;
  });
  const saving = vi.spyOn(StreamStore.prototype, 'save');
  onTestFinished(() => {
    settle('saved');
    saving.mockRestore();
  });
  saving.mockImplementationOnce(async function late(this: StreamStore, ...args) {
    const how = await outcome;
    if (how === 'refused') throw new StorageFullError('the disk is full');
    await save.apply(this, args);
    if (how === 'unknown') throw new OutcomeUnknownError('not safe', { cause: systemError('EIO') });
  });
  const ended = appender.end('finished');
  await waitFor(() => saving.mock.calls.length === 1, 'what is to be remembered');
  return { ...core, owner, appender, ended, settle };
}

async function isClosed({ core }: Pick<Awaited<ReturnType<typeof closing>>, 'core'>): Promise<boolean> {
  const file = await core.resources.open(Permit.own(STREAM));
  try {
    return (await core.resources.view(file)).state.closed === true;
  } finally {
    await file.close();
  }
}

test.each(['refused', 'unknown'] as const)(
  'a stream stays open for everybody when it is %s that a session has closed it',
  async (how) => {
    const stream = await closing();
    const { core, directory, appender, ended, settle } = stream;
    const live = await core.followers.openLive(Permit.own(STREAM));
    const sink = new CollectingSink();
    sink.follower = live.join(0, sink);
    live.release();
    sink.drain();
    await waitFor(() => sink.bytes.length === 11, 'the bytes');
    expect([await isClosed(stream), sink.endReason]).toEqual([false, undefined]);
    settle(how);
    await ended;
    expect(appender.endReason).toBe('interrupted');
    expect([await isClosed(stream), sink.endReason]).toEqual([false, undefined]);
    expect((await recordsIn(directory)).stream?.record.stream?.closed).toBeUndefined();
    await appendLine(core, 'stream', 'more\n');
    await waitFor(() => sink.bytes.length === 16, 'what came afterwards');
    await core.close();
    const next = await startCore({ directory });
    expect(await isClosed(next)).toBe(false);
    await next.core.close();
  },
);

test('a stream is closed by a session when that is remembered', async () => {
  const stream = await closing();
  const { appender, ended, settle } = stream;
  expect(await isClosed(stream)).toBe(false);
  settle('saved');
  await ended;
  expect([appender.endReason, await isClosed(stream)]).toEqual(['finished', true]);
});
