import { readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, onTestFinished, test, vi } from 'vitest';
import { Core } from '../../../src/core/core.ts';
import { type Checkpointed, Checkpoints } from '../../../src/core/log/checkpoints.ts';
import type { JournalHeader } from '../../../src/core/log/file-entry.ts';
import { Permit } from '../../../src/core/permit.ts';
import { StreamStore } from '../../../src/core/streams/stream-store.ts';
import { Journal } from '../../../src/storage/journal/journal.ts';
import { Quarantine } from '../../../src/storage/journal/quarantine.ts';
import { Root } from '../../../src/storage/root/root.ts';
import { storageFailure } from '../../../src/storage/storage-failure.ts';
import { AppendFile, StoredFile } from '../../../src/storage/stored-file.ts';
import { WriteTurns } from '../../../src/storage/write-turns.ts';
import { ResourcePath } from '../../../src/wire/resource-path.ts';
import { CollectingSink, writeInLine } from '../../support/core/harness.ts';
import { recordsOf, recoverAfterKill } from '../../support/core/stored-records.ts';
import { appendLine, makeStream, textOf } from '../../support/core/streams.ts';
import { RESERVED } from '../../support/disk/root-files.ts';
import { systemError } from '../../support/disk/small-disk.ts';
import { temporaryDirectory } from '../../support/server/server.ts';
import { waitFor } from '../../support/wait-for.ts';

/** A server without HTTP, with two streams that have a line each, and what it tells. */
async function startTwo() {
  const directory = await temporaryDirectory();
  const told: string[] = [];
  const core = await start(directory, told);
  for (const name of ['good', 'bad']) {
    await makeStream(core, name);
    await appendLine(core, name, `${name} 0\n`, { id: 'p', epoch: 0, seq: 0 });
  }
  return { directory, core, told };
}

async function start(directory: string, told: string[] = []) {
  const report = (message: string) => told.push(message);
  const core = new Core(await Root.open(directory), { durability: 'os', graceMs: 0, report });
  onTestFinished(() => core.close());
  await recoverAfterKill(directory, core);
  return core;
}

const own = (directory: string, name: string) =>
  readdir(path.join(directory, RESERVED, name)).catch(() => []);

/** Makes what is remembered of the stream that is `bad` impossible to save, until that is over. */
function failToSave() {
  const { save } = StreamStore.prototype;
  const saving = vi.spyOn(StreamStore.prototype, 'save');
  saving.mockImplementation(async function limited(this: StreamStore, ...args) {
    if (args[1] === 'bad') throw storageFailure(systemError('EIO'));
    await save.apply(this, args);
  });
  onTestFinished(() => saving.mockRestore());
  return saving;
}

const isolated = (directory: string) => async () =>
  (await own(directory, 'quarantine')).length === 1 && (await own(directory, 'redo')).length === 0;

test('a stream whose file cannot be synced is put in quarantine, and the log is dropped for all others', async () => {
  const { directory, core, told } = await startTwo();
  const { sync } = AppendFile.prototype;
  const syncing = vi.spyOn(AppendFile.prototype, 'sync');
  syncing.mockImplementation(async function failing(this: AppendFile, ...args) {
    if (this.location === 'bad') throw systemError('EIO');
    await sync.apply(this, args);
  });
  onTestFinished(() => syncing.mockRestore());
  await waitFor(isolated(directory), 'the log to be dropped');
  expect(told.filter((message) => message.includes('cannot be brought up to date'))).toHaveLength(1);
  await appendLine(core, 'good', 'good 1\n', { id: 'p', epoch: 0, seq: 1 });
  await expect(appendLine(core, 'bad', 'bad 1\n')).rejects.toMatchObject({ code: 'HFS_STORAGE_ERROR' });
  // What the system has of it by now nobody knows.
  await expect(textOf(core, 'bad')).rejects.toMatchObject({ code: 'HFS_STORAGE_ERROR' });
  const sink = new CollectingSink();
  const following = core.followers.follow(
    Permit.own(ResourcePath.parse('bad')),
    {},
    sink,
    new AbortController().signal,
  );
  await expect(following).rejects.toMatchObject({ code: 'HFS_STORAGE_ERROR' });
  expect(await textOf(core, 'good')).toBe('good 0\ngood 1\n');
  await core.close();

  syncing.mockRestore();
  const next = await start(directory);
  expect(await own(directory, 'quarantine')).toEqual([]);
  expect((await appendLine(next, 'bad', 'bad 0\n', { id: 'p', epoch: 0, seq: 0 })).isRepeated).toBe(true);
  await appendLine(next, 'bad', 'bad 1\n', { id: 'p', epoch: 0, seq: 1 });
  expect([await textOf(next, 'good'), await textOf(next, 'bad')]).toEqual([
    'good 0\ngood 1\n',
    'bad 0\nbad 1\n',
  ]);
});

test('a stream of which nothing can be remembered comes out of quarantine as soon as it can be', async () => {
  const { directory, core } = await startTwo();
  const saving = failToSave();
  await waitFor(isolated(directory), 'the stream to be put in quarantine');
  await expect(appendLine(core, 'bad', 'bad 1\n')).rejects.toMatchObject({ code: 'HFS_STORAGE_ERROR' });
  // Its file has everything.
  expect(await textOf(core, 'bad')).toBe('bad 0\n');
  saving.mockRestore();
  await waitFor(
    () =>
      appendLine(core, 'bad', 'bad 1\n', { id: 'p', epoch: 0, seq: 1 }).then(
        () => true,
        () => false,
      ),
    'the stream to take appends again',
  );
  expect(await textOf(core, 'bad')).toBe('bad 0\nbad 1\n');
  expect(await own(directory, 'quarantine')).toEqual([]);
});

test('what was refused before a quarantine never replaces what was appended after it', async () => {
  writeInLine();
  const { directory, core } = await startTwo();
  const { writeInLine: write } = AppendFile.prototype;
  const writing = vi.spyOn(AppendFile.prototype, 'writeInLine').mockImplementationOnce(function failing(
    this: AppendFile,
    parts,
  ) {
    write.call(this, parts);
    throw systemError('EIO');
  });
  // So that nobody can tell what is in the file.
  const reading = vi.spyOn(StoredFile.prototype, 'readInLine').mockImplementation(() => {
    throw systemError('EIO');
  });
  onTestFinished(() => {
    writing.mockRestore();
    reading.mockRestore();
  });
  await expect(appendLine(core, 'bad', 'refused\n')).rejects.toMatchObject({
    code: 'HFS_OUTCOME_UNKNOWN',
  });
  await waitFor(isolated(directory), 'the stream to be put in quarantine');
  const [name] = await own(directory, 'quarantine');
  const log = path.join(directory, RESERVED, 'quarantine', String(name));
  const copy = await readFile(log);
  reading.mockRestore();
  const append = () =>
    appendLine(core, 'bad', 'bad 1\n')
      .then(() => true)
      .catch(() => false);
  await waitFor(append, 'the stream to take appends again');

  // As a loss of power may bring it back.
  await writeFile(log, copy);
  expect(await textOf(await start(directory), 'bad')).toBe('bad 0\nbad 1\n');
});

test('a stream that is deleted leaves the quarantine', async () => {
  const { directory, core } = await startTwo();
  failToSave();
  await waitFor(isolated(directory), 'the stream to be put in quarantine');
  await core.streams.delete(Permit.own(ResourcePath.parse('bad')));
  expect(await own(directory, 'quarantine')).toEqual([]);
});

test('they come every ten seconds while sessions begin and streams are appended to all the time', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  onTestFinished(() => void vi.useRealTimers());
  const directory = await temporaryDirectory();
  const journal = new Journal<JournalHeader>(path.join(directory, 'redo'), new WriteTurns(), false);
  const [rotating, dropping] = [vi.spyOn(journal, 'rotate'), vi.spyOn(journal, 'drop')];
  const ended = () => dropping.mock.settledResults.filter(({ type }) => type === 'fulfilled').length;
  const records = recordsOf(directory, () => {}, journal);
  await records.open();
  const checkpoints = new Checkpoints(
    journal,
    records,
    new Quarantine(path.join(directory, 'q')),
    () => {},
    1000,
  );
  let behind = 0;
  const stream: Checkpointed = {
    ...{ fingerprint: '1-1', location: 'a', isGone: false, isLost: false, isClaimed: false },
    // Others are added meanwhile.
    checkpoint: async () => checkpoints.add({ ...stream, fingerprint: `${++behind}-2` }),
    isolate: async () => {},
    release: () => {},
    upToDate: () => {},
  };
  for (let ms = 0; ms < 35_000; ms += 100) {
    checkpoints.add(stream);
    checkpoints.recordsAreBehind();
    await vi.advanceTimersByTimeAsync(100);
    // The time here does not go on while one is under way, however busy the disk is.
    do await nextTurn();
    while (ended() < rotating.mock.calls.length);
  }
  expect(rotating).toHaveBeenCalledTimes(3);
  await checkpoints.close();
  await records.close();
});
