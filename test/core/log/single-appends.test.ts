import { appendFileSync, readdirSync, truncateSync } from 'node:fs';
import { appendFile, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { Core } from '../../../src/core/core.ts';
import { LiveResources } from '../../../src/core/live-resources.ts';
import { Permit } from '../../../src/core/permit.ts';
import type { FollowRequest } from '../../../src/core/request.ts';
import { StreamStore } from '../../../src/core/streams/stream-store.ts';
import { Journal } from '../../../src/storage/journal/journal.ts';
import { Root } from '../../../src/storage/root/root.ts';
import { storageFailure } from '../../../src/storage/storage-failure.ts';
import { AppendFile } from '../../../src/storage/stored-file.ts';
import { StorageError } from '../../../src/wire/errors.ts';
import { ResourcePath } from '../../../src/wire/resource-path.ts';
import { CollectingSink, writeByThreads, writeInLine } from '../../support/core/harness.ts';
import { recordsIn, recoverAfterKill } from '../../support/core/stored-records.ts';
import { appendLine, makeStream, textOf } from '../../support/core/streams.ts';
import { breakLog } from '../../support/disk/log-trouble.ts';
import { RESERVED } from '../../support/disk/root-files.ts';
import { systemError } from '../../support/disk/small-disk.ts';
import { temporaryDirectory } from '../../support/server/server.ts';
import { waitFor, waitWhile } from '../../support/wait-for.ts';

/** More than goes through the log. */
const LARGE = 'x'.repeat(400_000);

/** A root with files that nobody made as streams. */
async function rootWith(...names: string[]): Promise<string> {
  const directory = await temporaryDirectory();
  for (const name of names) await writeFile(path.join(directory, name), 'base\n');
  return directory;
}

async function start(directory: string, durability: 'os' | 'disk' = 'os'): Promise<Core> {
  const core = new Core(await Root.open(directory), { durability, graceMs: 0 });
  onTestFinished(() => core.close());
  await recoverAfterKill(directory, core);
  return core;
}

function own(directory: string, name: string): string[] {
  try {
    return readdirSync(path.join(directory, RESERVED, name));
  } catch {
    return [];
  }
}

/** Whether anything is remembered of a file. */
async function isRemembered(directory: string, name: string): Promise<boolean> {
  return (await recordsIn(directory))[name] !== undefined;
}

/** Stops a large append in the middle, until it is let go. */
function stopHalfway() {
  const { write } = AppendFile.prototype;
  let isHalfway = false;
  let letGo = () => {};
  const go = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  const writing = vi.spyOn(AppendFile.prototype, 'write');
  writing.mockImplementation(async function halting(this: AppendFile, parts) {
    const bytes = Buffer.concat(parts);
    if (bytes.length < LARGE.length) return write.call(this, parts);
    await write.call(this, [bytes.subarray(0, LARGE.length / 2)]);
    isHalfway = true;
    await go;
    await write.call(this, [bytes.subarray(LARGE.length / 2)]);
  });
  onTestFinished(() => writing.mockRestore());
  return { letGo, isHalfway: () => isHalfway };
}

test('half of a large append is gone after a kill -9, although the log was dropped for another stream', async () => {
  const directory = await rootWith('large', 'other');
  const { letGo, isHalfway } = stopHalfway();
  const core = await start(directory);
  const appended = appendLine(core, 'large', LARGE);
  await waitFor(isHalfway, 'half of it to be in the file');
  await appendLine(core, 'other', 'a line\n');
  await waitFor(() => isRemembered(directory, 'other'), 'the other stream to be brought up to date');
  await waitWhile(() => own(directory, 'redo').length > 0, 'the log says what is under way');

  const next = await start(directory);
  expect(await textOf(next, 'large')).toBe('base\n');
  expect(await textOf(next, 'other')).toBe('base\na line\n');
  letGo();
  await appended.catch(() => {});
});

test('a server that closes during a large append makes it, and leaves no log', async () => {
  const directory = await rootWith('large');
  const { letGo, isHalfway } = stopHalfway();
  const core = await start(directory);
  const appended = appendLine(core, 'large', LARGE);
  await waitFor(isHalfway, 'half of it to be in the file');
  let isClosed = false;
  const closed = core.close().then(() => {
    isClosed = true;
  });
  await waitWhile(() => !isClosed, 'the server waits for what it has let in');
  letGo();
  await Promise.all([appended, closed]);
  expect(own(directory, 'redo')).toEqual([]);
  expect(await readFile(path.join(directory, 'large'), 'utf8')).toBe(`base\n${LARGE}`);
});

test.each([
  ['from the beginning', {}, 'base\n'],
  ['its last bytes', { from: -3 }, 'se\n'],
  ['its last lines', { lines: 1 }, 'base\n'],
])('a follower has nothing of a large append that is not made yet: %s', async (_, request, expected) => {
  const directory = await rootWith('large');
  const { letGo, isHalfway } = stopHalfway();
  const core = await start(directory);
  const follow = async (what: FollowRequest) => {
    const sink = new CollectingSink();
    const large = ResourcePath.parse('/large');
    sink.follower = await core.followers.follow(Permit.own(large), what, sink, new AbortController().signal);
    sink.drain();
    await waitFor(() => sink.endReason !== undefined, 'the end');
    return `${sink.bytes} ${sink.endReason}`;
  };
  const appended = appendLine(core, 'large', LARGE);
  await waitFor(isHalfway, 'half of it to be in the file');
  const early = await follow(request);
  letGo();
  expect(early).toBe(`${expected} finished`);
  await appended;
  expect(await follow({ from: 5 })).toBe(`${LARGE} finished`);
});

/** A disk on which the log's end is not sure, and on which nothing can be remembered. Returns what mends it. */
function breakDisk(): () => void {
  const { append } = Journal.prototype;
  const { save } = StreamStore.prototype;
  let isBroken = true;
  const failure = () => storageFailure(systemError('EIO'));
  const appending = vi.spyOn(Journal.prototype, 'append');
  appending.mockImplementation(function unsure(this: Journal<object>, header, payload, writer) {
    const refused = () => writer.refused(failure(), false);
    append.call(this, header, payload, isBroken ? { committed: () => void refused(), refused } : writer);
  });
  const saving = vi.spyOn(StreamStore.prototype, 'save');
  saving.mockImplementation(async function failing(this: StreamStore, ...args) {
    if (isBroken) throw failure();
    await save.apply(this, args);
  });
  onTestFinished(() => {
    appending.mockRestore();
    saving.mockRestore();
  });
  return () => {
    isBroken = false;
  };
}

test('what was refused and may be in the log is made void as soon as it can be, though nobody uses the stream', async () => {
  const directory = await rootWith('file');
  const core = await start(directory);
  const mend = breakDisk();
  await expect(appendLine(core, 'file', 'refused\n')).rejects.toMatchObject({
    code: 'HFS_OUTCOME_UNKNOWN',
  });
  mend();
  await waitFor(() => isRemembered(directory, 'file'), 'the record to make it void');
  await appendLine(core, 'file', 'acknowledged\n');
  expect(await textOf(await start(directory), 'file')).toBe('base\nacknowledged\n');
});

test('the cut of a refused append is as safe as that it is void', async () => {
  const directory = await rootWith('file');
  const core = await start(directory, 'disk');
  const steps: string[] = [];
  const { write, truncateInLine, sync } = AppendFile.prototype;
  const { annul } = Journal.prototype;
  const spies = [
    vi.spyOn(AppendFile.prototype, 'write').mockImplementation(async function torn(this: AppendFile, parts) {
      await write.call(this, [Buffer.concat(parts).subarray(0, 1000)]);
      throw systemError('ENOSPC');
    }),
    vi.spyOn(AppendFile.prototype, 'truncateInLine').mockImplementation(function cut(
      this: AppendFile,
      ...args
    ) {
      steps.push('cut');
      return truncateInLine.apply(this, args);
    }),
    vi.spyOn(AppendFile.prototype, 'sync').mockImplementation(function synced(this: AppendFile, ...args) {
      steps.push('sync');
      return sync.apply(this, args);
    }),
    vi.spyOn(Journal.prototype, 'annul').mockImplementation(function voided(this: Journal<object>, ...args) {
      steps.push('void');
      return annul.apply(this, args);
    }),
  ];
  onTestFinished(() => spies.forEach((spy) => void spy.mockRestore()));
  await expect(appendLine(core, 'file', LARGE)).rejects.toMatchObject({ code: 'HFS_STORAGE_FULL' });
  expect(steps.slice(0, 3)).toEqual(['cut', 'sync', 'void']);
});

describe('another program’s bytes, which end with those of an append that is refused,', () => {
  async function startWithLine() {
    const directory = await rootWith('file');
    const core = await start(directory);
    await appendLine(core, 'file', 'first\n');
    const name = path.join(directory, 'file');
    return { core, name, text: () => readFile(name, 'utf8') };
  }

  test.each([
    ['in line', 'same\n', () => {}],
    ['by a thread', 'same\n', writeByThreads],
    ['that is more than goes through the log', LARGE, () => {}],
  ])('stay when it is written behind them: %s', async (_, same, prepare) => {
    prepare();
    const { core, name, text } = await startWithLine();
    await appendFile(name, `the ${same}`);
    await expect(appendLine(core, 'file', same)).rejects.toMatchObject({ code: 'HFS_APPEND_BUSY' });
    expect(await text()).toBe(`base\nfirst\nthe ${same}`);
    await appendLine(core, 'file', same);
    expect(await text()).toBe(`base\nfirst\nthe ${same}${same}`);
  });

  test('stay when the disk takes none of it', async () => {
    const { core, name, text } = await startWithLine();
    writeByThreads();
    const writing = vi.spyOn(AppendFile.prototype, 'write').mockImplementation(async () => {
      await appendFile(name, 'same\n');
      throw systemError('ENOSPC');
    });
    onTestFinished(() => writing.mockRestore());
    await expect(appendLine(core, 'file', 'same\n')).rejects.toMatchObject({ code: 'HFS_STORAGE_FULL' });
    expect(await text()).toBe('base\nfirst\nsame\n');
  });

  test('stay when the journal takes none of it', async () => {
    const { core, name, text } = await startWithLine();
    await appendFile(name, 'same\n');
    breakLog();
    await expect(appendLine(core, 'file', 'same\n')).rejects.toMatchObject({ code: 'HFS_STORAGE_FULL' });
    expect(await text()).toBe('base\nfirst\nsame\n');
  });
});

test('what cannot be cut off of a refused append is cut off before the next one', async () => {
  const directory = await rootWith('file');
  const core = await start(directory);
  await appendLine(core, 'file', 'first\n');
  const name = path.join(directory, 'file');
  const { writeInLine } = AppendFile.prototype;
  const writing = vi.spyOn(AppendFile.prototype, 'writeInLine');
  onTestFinished(() => writing.mockRestore());
  writing.mockImplementationOnce(function preceded(this: AppendFile, parts) {
    appendFileSync(name, 'other\n');
    return writeInLine.call(this, parts);
  });
  const cutting = vi.spyOn(AppendFile.prototype, 'truncateInLine').mockImplementation(() => {
    throw systemError('EIO');
  });
  onTestFinished(() => cutting.mockRestore());
  const refused = appendLine(core, 'file', 'refused\n');
  await expect(refused).rejects.toMatchObject({ code: 'HFS_OUTCOME_UNKNOWN' });
  expect(await readFile(name, 'utf8')).toBe('base\nfirst\nother\nrefused\n');
  cutting.mockRestore();
  await appendLine(core, 'file', 'next\n');
  expect(await readFile(name, 'utf8')).toBe('base\nfirst\nother\nnext\n');
});

/** Lets another program append before and after the next write by a thread, of which only so many bytes succeed. */
function surroundWrite(
  name: string,
  { before = '', after = 'foreign\n', bytes = Number.POSITIVE_INFINITY } = {},
): void {
  const { write } = AppendFile.prototype;
  const writing = vi.spyOn(AppendFile.prototype, 'write');
  writing.mockImplementationOnce(async function surrounded(this: AppendFile, parts) {
    const all = Buffer.concat(parts);
    appendFileSync(name, before);
    await write.call(this, [all.subarray(0, bytes)]);
    appendFileSync(name, after);
    if (bytes < all.length) throw systemError('ENOSPC');
  });
  onTestFinished(() => writing.mockRestore());
}

test('what was not written behind an append that may be there is busy', async () => {
  const directory = await rootWith('file');
  const core = await start(directory);
  await appendLine(core, 'file', 'first\n');
  const name = path.join(directory, 'file');
  writeByThreads();
  const { write } = AppendFile.prototype;
  const behind: Promise<unknown>[] = [];
  const writing = vi.spyOn(AppendFile.prototype, 'write');
  writing.mockImplementationOnce(async function followed(this: AppendFile, parts) {
    behind.push(appendLine(core, 'file', 'behind\n').catch((error) => error));
    appendFileSync(name, 'foreign\n');
    await write.call(this, parts);
    appendFileSync(name, 'foreign\n');
  });
  onTestFinished(() => writing.mockRestore());
  await expect(appendLine(core, 'file', 'line\n')).rejects.toMatchObject({ code: 'HFS_OUTCOME_UNKNOWN' });
  expect(await Promise.all(behind)).toMatchObject([{ code: 'HFS_APPEND_BUSY' }]);
  expect(await readFile(name, 'utf8')).toBe('base\nfirst\nforeign\nline\nforeign\n');
});

test('a disk that does not say how long a file is is no other program', async () => {
  const core = await start(await rootWith('file'));
  await appendLine(core, 'file', 'first\n');
  const looking = vi.spyOn(AppendFile.prototype, 'stateInLine').mockImplementation(() => {
    throw new StorageError('EIO: made up');
  });
  onTestFinished(() => looking.mockRestore());
  await expect(appendLine(core, 'file', 'line\n')).rejects.toMatchObject({ code: 'HFS_STORAGE_ERROR' });
  looking.mockRestore();
  await appendLine(core, 'file', 'next\n');
});

test('an append that another program cuts off with the rest is not there for certain', async () => {
  const directory = await rootWith('file');
  const core = await start(directory);
  await appendLine(core, 'file', 'first\n');
  writeByThreads();
  const { write } = AppendFile.prototype;
  const writing = vi.spyOn(AppendFile.prototype, 'write');
  writing.mockImplementationOnce(async function cut(this: AppendFile, parts) {
    await write.call(this, parts);
    truncateSync(path.join(directory, 'file'), 8);
  });
  onTestFinished(() => writing.mockRestore());
  await expect(appendLine(core, 'file', 'line\n')).rejects.not.toMatchObject({ code: 'HFS_OUTCOME_UNKNOWN' });
});

describe.each([
  ['a small append', 'line\n'],
  ['an append of more than goes through the log', LARGE],
])('%s, behind which another program appends before anybody has looked,', (_, text) => {
  async function startByThreads(durability?: 'disk') {
    writeByThreads();
    const directory = await rootWith('file');
    const core = await start(directory, durability);
    const name = path.join(directory, 'file');
    return { directory, core, name, content: () => readFile(name, 'utf8') };
  }

  test.each(['os', 'disk'] as const)('is made, once: %s', async (durability) => {
    const { directory, core, name, content } = await startByThreads(
      durability === 'disk' ? durability : undefined,
    );
    surroundWrite(name);
    expect((await appendLine(core, 'file', text)).state.size).toBe(5 + text.length);
    expect(await content()).toBe(`base\n${text}foreign\n`);
    expect(await textOf(await start(directory), 'file')).toBe(`base\n${text}foreign\n`);
  });

  test('of a producer is made, and what is behind it does not count', async () => {
    const { core, name, content } = await startByThreads();
    const producer = { id: 'p', epoch: 0, seq: 0 };
    surroundWrite(name);
    await appendLine(core, 'file', text, producer);
    expect((await appendLine(core, 'file', text, producer)).isRepeated).toBe(true);
    const next = () => appendLine(core, 'file', 'next\n', { ...producer, seq: 1 });
    await expect(next()).rejects.toMatchObject({ code: 'HFS_APPEND_BUSY' });
    await next();
    expect(await content()).toBe(`base\n${text}next\n`);
  });

  test.each([
    ['it has appended before it, too', { before: 'foreign\n' }, (all: string) => `foreign\n${all}foreign\n`],
    ['the disk has taken a part of it', { bytes: 3 }, (all: string) => `${all.slice(0, 3)}foreign\n`],
  ])('is not said to be not there when %s', async (_when, how, left) => {
    const { directory, core, name, content } = await startByThreads();
    surroundWrite(name, how);
    await expect(appendLine(core, 'file', text)).rejects.toMatchObject({ code: 'HFS_OUTCOME_UNKNOWN' });
    expect(await content()).toBe(`base\n${left(text)}`);
    await appendLine(core, 'file', 'next\n');
    expect(await textOf(await start(directory), 'file')).toBe(`base\n${left(text)}next\n`);
  });
});

describe('an append to a stream that is followed, which cannot be taken back at once,', () => {
  async function startFollowed() {
    writeInLine();
    const directory = await rootWith();
    const core = await start(directory);
    await makeStream(core, 'stream', 'one\n');
    const sink = new CollectingSink();
    const permit = Permit.own(ResourcePath.parse('/stream'));
    sink.follower = await core.followers.follow(permit, { from: 0 }, sink, new AbortController().signal);
    sink.drain();
    const looking = vi.spyOn(LiveResources.prototype, 'refresh');
    onTestFinished(() => looking.mockRestore());
    const isLookedAt = () => looking.mock.settledResults.some(({ type }) => type !== 'incomplete');
    return { directory, core, sink, isLookedAt, name: path.join(directory, 'stream') };
  }

  /** Appends once more when the disk is well again, and has that followed. */
  async function goOn(core: Core, sink: CollectingSink, expected: string) {
    await appendLine(core, 'stream', 'next\n').catch((error) => {
      expect(error.code).toBe('HFS_APPEND_BUSY');
      return appendLine(core, 'stream', 'next\n');
    });
    await waitFor(() => sink.bytes.length >= expected.length, 'what was appended');
    expect(sink.bytes.toString()).toBe(expected);
    expect(await textOf(core, 'stream')).toBe(expected);
  }

  test('is taken back later, and its followers get nothing of it', async () => {
    const { core, sink, isLookedAt } = await startFollowed();
    const { writeInLine: write } = AppendFile.prototype;
    const writing = vi.spyOn(AppendFile.prototype, 'writeInLine');
    writing.mockImplementationOnce(function torn(this: AppendFile, parts) {
      write.call(this, [Buffer.concat(parts).subarray(0, 3)]);
      throw systemError('ENOSPC');
    });
    const cutting = vi.spyOn(AppendFile.prototype, 'truncateInLine').mockImplementation(() => {
      throw systemError('EIO');
    });
    onTestFinished(() => [writing, cutting].forEach((spy) => void spy.mockRestore()));
    await expect(appendLine(core, 'stream', 'two\n')).rejects.toMatchObject({ code: 'HFS_OUTCOME_UNKNOWN' });
    await waitFor(isLookedAt, 'somebody to see that the file is longer');
    cutting.mockRestore();
    await goOn(core, sink, 'one\nnext\n');
  });

  test('is made void later, and they get what another program appends meanwhile', async () => {
    const { directory, core, sink, isLookedAt, name } = await startFollowed();
    const mend = breakDisk();
    await expect(appendLine(core, 'stream', 'two\n')).rejects.toMatchObject({ code: 'HFS_OUTCOME_UNKNOWN' });
    await appendFile(name, 'foreign\n');
    await waitFor(isLookedAt, 'somebody to see that the file is longer');
    mend();
    await goOn(core, sink, 'one\nforeign\nnext\n');
    expect(await textOf(await start(directory), 'stream')).toBe('one\nforeign\nnext\n');
  });
});
