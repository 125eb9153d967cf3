import { appendFile, rm, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { LiveResources } from '../../../src/core/live-resources.ts';
import { Permit } from '../../../src/core/permit.ts';
import { AppendHistory } from '../../../src/core/sessions/append-history.ts';
import { PathWatch } from '../../../src/core/watch/path-watch.ts';
import { StoredFile } from '../../../src/storage/stored-file.ts';
import { ResourcePath } from '../../../src/wire/resource-path.ts';
import { CollectingSink, join, RecordingOwner, startCore } from '../../support/core/harness.ts';
import { rememberedIn } from '../../support/core/stored-records.ts';
import { appendLine, makeStream, storeFile } from '../../support/core/streams.ts';
import { waitFor } from '../../support/wait-for.ts';

const STREAM = ResourcePath.parse('stream');
const session = 'x'.repeat(32);

/** A stream of text with a line, and one who follows it. */
async function followedStream(graceMs = 15_000) {
  const core = await startCore({ graceMs });
  onTestFinished(() => core.core.close());
  await makeStream(core.core, 'stream', 'first\n');
  const follow = async () => {
    const sink = new CollectingSink();
    const { signal } = new AbortController();
    sink.follower = await core.core.followers.follow(Permit.own(STREAM), {}, sink, signal);
    sink.drain();
    return sink;
  };
  const close = async () => {
    const stream = await core.core.resources.acquire(Permit.own(STREAM));
    const nothing = { bytes: Buffer.alloc(0), contentType: undefined, seq: undefined, producer: undefined };
    await stream.append({ ...nothing, close: true });
    core.core.resources.release(stream);
  };
  const sink = await follow();
  await waitFor(() => sink.bytes.length === 6, 'the history');
  return { ...core, sink, follow, close };
}

const text = (sink: CollectingSink) => sink.bytes.toString();

test('a follower of an open stream gets what is appended, and stays until it is closed', async () => {
  const { core, sink, close } = await followedStream();
  await appendLine(core, 'stream', 'second\n');
  await waitFor(() => text(sink) === 'first\nsecond\n', 'the second line');
  expect([sink.endReason, sink.follower?.outcome]).toEqual([undefined, undefined]);
  await close();
  await waitFor(() => sink.endReason !== undefined, 'the end');
  expect([text(sink), sink.endReason]).toEqual(['first\nsecond\n', 'finished']);
});

test('what is appended reaches followers without another read of the file', async () => {
  const { core, sink } = await followedStream();
  const reading = vi.spyOn(StoredFile.prototype, 'read');
  onTestFinished(() => reading.mockRestore());
  await Promise.all([appendLine(core, 'stream', 'a\n'), appendLine(core, 'stream', 'b\n')]);
  await waitFor(() => text(sink).length === 10, 'the lines');
  expect(text(sink)).toMatch(/^first\n(a\nb\n|b\na\n)$/);
  expect(reading).not.toHaveBeenCalled();
});

test('a closed stream is followed to its end, as a file is', async () => {
  const { follow, close } = await followedStream();
  await close();
  const late = await follow();
  await waitFor(() => late.endReason !== undefined, 'the end');
  expect([text(late), late.endReason]).toEqual(['first\n', 'finished']);
});

test('a file that was only stored is followed to its end, though somebody POSTs to it', async () => {
  const { core, directory } = await followedStream();
  await storeFile(core, directory, 'file', 'stored\n');
  await appendLine(core, 'file', 'posted\n');
  const sink = new CollectingSink();
  const { signal } = new AbortController();
  sink.follower = await core.followers.follow(Permit.own(ResourcePath.parse('file')), {}, sink, signal);
  sink.drain();
  await waitFor(() => sink.endReason !== undefined, 'the end');
  expect([text(sink), sink.endReason]).toEqual(['stored\nposted\n', 'finished']);
});

test('a follower of an open stream sees sessions come and go, and stays', async () => {
  const { core, open, sink, follow } = await followedStream();
  const first = await open('stream', new RecordingOwner(), { session });
  const during = await follow();
  first.append(Buffer.from('one '));
  await first.end('finished');
  const second = await open('stream', new RecordingOwner(), { session: 'y'.repeat(32) });
  second.append(Buffer.from('two '));
  await second.ready();
  second.release();
  await waitFor(() => sink.waits.length === 1, 'the word that the appender was lost');
  const back = await open('stream', new RecordingOwner(), { session: 'y'.repeat(32) });
  await back.end('interrupted');
  await appendLine(core, 'stream', 'three\n');
  for (const each of [sink, during]) {
    await waitFor(() => text(each) === 'first\none two three\n', 'everything');
    expect([each.waits, each.endReason]).toEqual([[true, false], undefined]);
  }
});

test('a follower of an open stream is told that its appender is given up', async () => {
  const { open, sink } = await followedStream(10);
  const appender = await open('stream', new RecordingOwner(), { session });
  appender.release();
  await waitFor(() => sink.waits.length === 2, 'the word that others may append');
  expect([sink.waits, sink.endReason]).toEqual([[true, false], undefined]);
});

test('a session that closes the stream ends those who follow it', async () => {
  const { open, sink } = await followedStream();
  const appender = await open('stream', new RecordingOwner(), { session, closes: true });
  appender.append(Buffer.from('last\n'));
  await appender.end('finished');
  await waitFor(() => sink.endReason !== undefined, 'the end');
  expect([text(sink), sink.endReason]).toEqual(['first\nlast\n', 'finished']);
});

test('a follower of an open stream is told when it is deleted', async () => {
  const { core, sink } = await followedStream();
  await core.streams.delete(Permit.own(STREAM));
  await waitFor(() => sink.endReason !== undefined, 'the end');
  expect(sink.endReason).toBe('deleted');
});

test('a follower of an open stream is told to come back when the server closes', async () => {
  const { core, sink } = await followedStream();
  await core.close();
  expect(sink.endReason).toBe('shutdown');
});

test('a follower of an open stream that another program has cut gets nothing of what is appended then', async () => {
  const { core, directory, sink } = await followedStream();
  await truncate(path.join(directory, 'stream'), 2);
  await appendLine(core, 'stream', 'anew\n').catch(() => appendLine(core, 'stream', 'anew\n'));
  await waitFor(() => sink.endReason !== undefined, 'the end');
  expect([text(sink), sink.endReason]).toEqual(['first\n', 'truncated']);
});

test.each([
  ['deleted', (file: string) => rm(file)],
  ['truncated', (file: string) => truncate(file, 2)],
])(
  'a follower who has joined through a session is told when the file is %s after it',
  async (reason, change) => {
    const { directory, open, follow } = await followedStream();
    const appender = await open('stream', new RecordingOwner(), { session });
    const sink = await follow();
    await appender.end('finished');
    await change(path.join(directory, 'stream'));
    await waitFor(() => sink.endReason !== undefined, 'the end');
    expect([text(sink), sink.endReason]).toEqual(['first\n', reason]);
  },
);

test('who follows a file that was cut gets what is there, whatever others still have of it', async () => {
  const core = await startCore();
  onTestFinished(() => core.core.close());
  const appender = await core.open('file');
  const [stalled, other] = [join(appender, 0, 1), join(appender)];
  appender.append(Buffer.alloc(100, 'a'));
  await waitFor(() => other.bytes.length === 100, 'the first bytes');
  appender.append(Buffer.alloc(100, 'b'));
  await waitFor(() => other.bytes.length === 200, 'the bytes');
  await truncate(path.join(core.directory, 'file'), 0);
  await waitFor(() => other.endReason === 'truncated', 'the end');
  await writeFile(path.join(core.directory, 'file'), Buffer.alloc(300, 'c'));
  const late = new CollectingSink();
  const { signal } = new AbortController();
  late.follower = await core.core.followers.follow(
    Permit.own(ResourcePath.parse('file')),
    { from: 150 },
    late,
    signal,
  );
  late.drain();
  await waitFor(() => late.endReason !== undefined, 'the end');
  expect(late.bytes).toEqual(Buffer.alloc(150, 'c'));
  stalled.drain();
  await waitFor(() => stalled.endReason === 'truncated', 'the end of who was stalled');
});

/** Holds back what is remembered of ends until it is let go. */
function holdEnds(): { isHeld: () => boolean; letGo: () => void } {
  const { end } = AppendHistory.prototype;
  let isHeld = false;
  let letGo = () => {};
  const gate = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  const ending = vi.spyOn(AppendHistory.prototype, 'end').mockImplementation(async function held(
    this: AppendHistory,
    ...args
  ) {
    isHeld = true;
    await gate;
    await end.apply(this, args);
  });
  onTestFinished(() => ending.mockRestore());
  return { isHeld: () => isHeld, letGo };
}

test('a follower of an open stream is told to come back when the server closes while a session ends', async () => {
  const { core, open, sink } = await followedStream();
  const appender = await open('stream', new RecordingOwner(), { session });
  const ends = holdEnds();
  const ended = appender.end('finished');
  await waitFor(ends.isHeld, 'the end');
  const closed = core.close();
  ends.letGo();
  await Promise.all([ended, closed]);
  expect(sink.endReason).toBe('shutdown');
});

test('an append whose file is cut while its end is remembered has not finished', async () => {
  const { directory, open, sink } = await followedStream();
  const owner = new RecordingOwner();
  const appender = await open('stream', owner, { session });
  const ends = holdEnds();
  const ended = appender.end('finished');
  await waitFor(ends.isHeld, 'the end');
  await truncate(path.join(directory, 'stream'), 2);
  await waitFor(() => owner.failures.length === 1, 'the failure');
  ends.letGo();
  await ended;
  expect([appender.endReason, sink.endReason]).toEqual(['truncated', 'truncated']);
});

/** Has another program append, and a reader find that, each time when the beginning of a session was remembered. */
function appendAsSessionsBegin(
  { core, directory }: Awaited<ReturnType<typeof followedStream>>,
  times: number,
): void {
  const { begin } = AppendHistory.prototype;
  const beginning = vi.spyOn(AppendHistory.prototype, 'begin');
  onTestFinished(() => beginning.mockRestore());
  beginning.mockImplementation(async function late(this: AppendHistory, ...args) {
    await begin.apply(this, args);
    if (beginning.mock.calls.length > times) return;
    await appendFile(path.join(directory, 'stream'), 'foreign\n');
    core.resources.release(await core.resources.acquire(Permit.own(STREAM)));
  });
}

test('a session begins after what another program has appended meanwhile, and followers stay', async () => {
  const core = await followedStream();
  appendAsSessionsBegin(core, 2);
  const appender = await core.open('stream', new RecordingOwner(), { session });
  expect([appender.startPosition, appender.feed.committed]).toEqual([22, 22]);
  appender.append(Buffer.from('last\n'));
  await appender.end('finished');
  await waitFor(() => text(core.sink).endsWith('last\n'), 'the last line');
  expect([text(core.sink), core.sink.endReason]).toEqual(['first\nforeign\nforeign\nlast\n', undefined]);
  expect((await rememberedIn(core.directory)).stream).toEqual({
    session,
    start: 22,
    state: 'finished',
    end: 27,
  });
});

test.each([
  ['another program appends again and again', {}, 3, 'HFS_APPEND_BUSY', 30],
  ['it is to begin where another program has appended', { expect: 6 }, 1, 'HFS_POSITION_MISMATCH', 14],
])('a session does not begin when %s, and another one can', async (_when, request, times, code, size) => {
  const core = await followedStream();
  appendAsSessionsBegin(core, times);
  const opening = core.open('stream', new RecordingOwner(), { session, ...request });
  await expect(opening).rejects.toMatchObject({ code });
  expect(core.sink.endReason).toBeUndefined();
  const appender = await core.open('stream', new RecordingOwner(), { session, expect: size });
  expect([appender.startPosition, appender.feed.committed]).toEqual([size, size]);
  await appender.end('interrupted');
});

test('a session that another program has appended to while it came back does not go on', async () => {
  const core = await followedStream();
  const first = await core.open('stream', new RecordingOwner(), { session });
  first.append(Buffer.from('one\n'));
  await first.end('interrupted');
  appendAsSessionsBegin(core, 1);
  const back = core.open('stream', new RecordingOwner(), { session, expect: 6 });
  await expect(back).rejects.toMatchObject({ code: 'HFS_APPEND_BUSY' });
  await expect(core.open('stream', new RecordingOwner(), { session, expect: 6 })).rejects.toMatchObject({
    code: 'HFS_POSITION_MISMATCH',
  });
  expect(text(core.sink)).toBe('first\none\nforeign\n');
});

describe.each([
  ['that was only made', 0],
  ['to which something was appended', 1],
])('a stream %s and to which another program appends', (_, lines) => {
  const known = `first\n${'second\n'.repeat(lines)}`;

  async function grownStream() {
    const stream = await followedStream();
    for (let line = 0; line < lines; line++) await appendLine(stream.core, 'stream', 'second\n');
    await waitFor(() => text(stream.sink) === known, 'what was appended');
    const grow = () => appendFile(path.join(stream.directory, 'stream'), 'foreign\n');
    return { ...stream, grow };
  }

  test('has that for its followers, and for those who come', async () => {
    const { core, sink, follow, grow, close } = await grownStream();
    await grow();
    await waitFor(() => text(sink) === `${known}foreign\n`, 'what another program has appended');
    await appendLine(core, 'stream', 'third\n');
    await waitFor(() => text(sink) === `${known}foreign\nthird\n`, 'what was appended then');
    const other = await follow();
    await close();
    await waitFor(() => sink.endReason !== undefined && other.endReason !== undefined, 'the end');
    expect([text(sink), sink.endReason]).toEqual([`${known}foreign\nthird\n`, 'finished']);
    expect([text(other), other.endReason]).toEqual([`${known}foreign\nthird\n`, 'finished']);
  });

  test('has that for a live read that comes then', async () => {
    const { core, sink, grow } = await grownStream();
    sink.follower?.leave();
    await grow();
    const reads = await core.followers.openLive(Permit.own(STREAM));
    onTestFinished(() => reads.release());
    const reader = new CollectingSink();
    reader.follower = reads.join(0, reader);
    reader.drain();
    await waitFor(() => text(reader) === `${known}foreign\n`, 'what another program has appended');
  });

  test('is closed after that, though nobody has noticed it', async () => {
    const watching = vi.spyOn(PathWatch.prototype, 'add').mockReturnValue();
    onTestFinished(() => watching.mockRestore());
    const { sink, grow, close, contents } = await grownStream();
    await grow();
    // What is judged upon less than there is, is refused once.
    await close().catch((error) => {
      expect(error.code).toBe('HFS_APPEND_BUSY');
      return close();
    });
    await waitFor(() => sink.endReason !== undefined, 'the end');
    expect([text(sink), sink.endReason]).toEqual([`${known}foreign\n`, 'finished']);
    expect((await contents('stream')).toString()).toBe(text(sink));
  });
});

test('what another program appends to a stream that has producers belongs to nobody', async () => {
  const { core, sink, directory } = await followedStream();
  const producer = (seq: number) => ({ id: 'p', epoch: 0, seq });
  await appendLine(core, 'stream', 'second\n', producer(0));
  const taking = vi.spyOn(LiveResources.prototype, 'refresh');
  onTestFinished(() => taking.mockRestore());
  await appendFile(path.join(directory, 'stream'), 'foreign\n');
  await waitFor(() => taking.mock.calls.length > 0, 'a look');
  await taking.mock.results[0]?.value;
  await appendLine(core, 'stream', 'third\n', producer(1));
  await waitFor(() => text(sink) === 'first\nsecond\nthird\n', 'the third line');
});
