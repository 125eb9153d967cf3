import {
  appendFile,
  cp,
  link,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  truncate,
  writeFile,
} from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { Core } from '../../../src/core/core.ts';
import { LiveResources } from '../../../src/core/live-resources.ts';
import { AppendNumbers } from '../../../src/core/numbers.ts';
import { Permit } from '../../../src/core/permit.ts';
import { checkRoot } from '../../../src/core/recovery/check/root-check.ts';
import { StreamStore } from '../../../src/core/streams/stream-store.ts';
import { encodeEntry } from '../../../src/storage/journal/entry.ts';
import { Journal } from '../../../src/storage/journal/journal.ts';
import type { Report } from '../../../src/storage/report.ts';
import { Root } from '../../../src/storage/root/root.ts';
import { storageFailure } from '../../../src/storage/storage-failure.ts';
import { AppendFile } from '../../../src/storage/stored-file.ts';
import { ResourcePath } from '../../../src/wire/resource-path.ts';
import { killedRoot, prepareKilledRoots } from '../../support/core/crash-root.ts';
import {
  abandonStore,
  recoverAfterKill,
  removalsIn,
  rewriteRecords,
  storeOf,
} from '../../support/core/stored-records.ts';
import { appendLine, makeStream, textOf } from '../../support/core/streams.ts';
import { RESERVED } from '../../support/disk/root-files.ts';
import { systemError } from '../../support/disk/small-disk.ts';
import { diskDirectory } from '../../support/server/server.ts';

interface Told {
  message: string;
  detail: Readonly<Record<string, unknown>>;
}

/** A server without HTTP that was started on a root, and what it told. It is closed after the test. */
async function start(directory: string, durability: 'os' | 'disk' = 'os') {
  const told: Told[] = [];
  const report: Report = (message, detail) => {
    // How far it is, each second, where all is slow.
    if (!('ofStreams' in detail)) told.push({ message, detail });
  };
  const core = new Core(await Root.open(directory), { durability, graceMs: 0, report });
  onTestFinished(() => core.close());
  await recoverAfterKill(directory, core);
  return { core, told, about: (part: string) => told.filter(({ message }) => message.includes(part)) };
}

const takeKilledRoot = prepareKilledRoots({ os: 17, disk: 4 });

const own = (directory: string, name: string) =>
  readdir(path.join(directory, RESERVED, name)).catch(() => []);

const linesOf = (name: string) => [0, 1, 2].map((seq) => `${name} ${seq}\n`).join('');

/** Makes what is remembered of some streams impossible to save. */
function failToSave(code: string, isFailing: (path: string) => boolean) {
  const { save } = StreamStore.prototype;
  const saving = vi.spyOn(StreamStore.prototype, 'save');
  saving.mockImplementation(async function limited(this: StreamStore, ...args) {
    if (isFailing(args[1])) throw storageFailure(systemError(code));
    await save.apply(this, args);
  });
  onTestFinished(() => saving.mockRestore());
  return saving;
}

describe('after a kill -9 while a stream was being deleted', () => {
  /** Its name is gone, and the journal has its appends, but not that it was deleted. */
  async function halfDeleted(durability: 'os' | 'disk') {
    const directory = await diskDirectory();
    const { core } = await start(directory, durability);
    for (const name of ['stream', 'other']) {
      await makeStream(core, name, 'first\n');
      await appendLine(core, name, 'second\n');
    }
    const deleting = vi.spyOn(LiveResources.prototype, 'delete').mockRejectedValueOnce(new Error('killed'));
    onTestFinished(() => deleting.mockRestore());
    const kept = path.join(directory, 'kept');
    await link(path.join(directory, 'stream'), kept);
    await expect(core.streams.delete(Permit.own(ResourcePath.parse('stream')))).rejects.toThrow('killed');
    expect(await removalsIn(directory)).toHaveLength(1);
    const goForGood = () => rm(kept);
    return { directory, goForGood };
  }

  test.each(['os', 'disk'] as const)('nobody misses its appends (%s)', async (durability) => {
    const { directory, goForGood } = await halfDeleted(durability);
    await goForGood();
    const { core, told } = await start(directory, durability);
    expect(told.map(({ message }) => message)).toEqual([expect.stringContaining('was replayed')]);
    expect(await own(directory, 'aside')).toEqual([]);
    expect(await removalsIn(directory)).toEqual([]);
    expect(await textOf(core, 'other')).toBe('first\nsecond\n');
    await core.close();
    expect(await checkRoot(await Root.open(directory), () => {})).toBe(true);
  });

  test('a check has nothing to say', async () => {
    const { directory, goForGood } = await halfDeleted('os');
    await goForGood();
    await abandonStore(directory);
    expect(await checkRoot(await Root.open(directory), () => {})).toBe(true);
    expect(await own(directory, 'aside')).toEqual([]);
  });

  test('it stays, with all that it was, where another program keeps it', async () => {
    const { directory } = await halfDeleted('os');
    const { core } = await start(directory);
    expect(await textOf(core, 'kept')).toBe('first\nsecond\n');
    expect(await removalsIn(directory)).toEqual([]);
    const stream = await core.resources.acquire(Permit.own(ResourcePath.parse('kept')));
    expect(stream.streamType).toBe('text/plain');
    core.resources.release(stream);
  });

  test('the journal keeps its appends until a loss of power cannot bring it back', async () => {
    const { directory, goForGood } = await halfDeleted('disk');
    await goForGood();
    const syncing = vi
      .spyOn(Root.prototype, 'syncNames')
      .mockRejectedValue(storageFailure(systemError('EIO')));
    onTestFinished(() => syncing.mockRestore());
    const { core } = await start(directory, 'disk');
    expect(await own(directory, 'quarantine')).toHaveLength(1);
    expect(await removalsIn(directory)).toHaveLength(1);
    await core.close();
    syncing.mockRestore();
    await start(directory, 'disk');
    expect(await own(directory, 'quarantine')).toEqual([]);
    expect(await removalsIn(directory)).toEqual([]);
    expect(await own(directory, 'aside')).toEqual([]);
  });
});

describe('after a kill -9, a file that another program has moved', () => {
  test('is found below another name in its directory, with all that its producer has brought', async () => {
    const root = takeKilledRoot();
    await rename(path.join(root, 'two'), path.join(root, 'two.1'));
    const { core, about } = await start(root);
    expect(await textOf(core, 'two.1')).toBe(linesOf('two'));
    expect((await appendLine(core, 'two.1', 'two 2\n', { id: 'p', epoch: 0, seq: 2 })).isRepeated).toBe(true);
    await appendLine(core, 'two.1', 'two 3\n', { id: 'p', epoch: 0, seq: 3 });
    expect(await textOf(core, 'two.1')).toBe(`${linesOf('two')}two 3\n`);
    expect(about('not to be found')).toEqual([]);
  });

  test('is looked for in one listing of its directory, however many are missing', async () => {
    const root = takeKilledRoot();
    for (const name of ['one', 'two']) await rename(path.join(root, name), path.join(root, `${name}.1`));
    const listing = vi.spyOn(Root.prototype, 'fingerprintsIn');
    onTestFinished(() => listing.mockRestore());
    const { core } = await start(root);
    expect(await textOf(core, 'two.1')).toBe(linesOf('two'));
    expect(listing.mock.calls.length).toBe(1);
  });

  test('is found in another directory', async () => {
    const root = takeKilledRoot();
    await mkdir(path.join(root, 'a/b'), { recursive: true });
    await rename(path.join(root, 'two'), path.join(root, 'a/b/c'));
    const { core, about } = await start(root);
    expect(await textOf(core, 'a/b/c')).toBe(linesOf('two'));
    expect(about('not to be found')).toEqual([]);
  });

  test('and is nowhere: its bytes are where an operator finds them, and that is told', async () => {
    const root = takeKilledRoot();
    await rm(path.join(root, 'two'));
    const { core, about } = await start(root);
    const [told] = about('not to be found');
    expect(told?.detail).toMatchObject({ path: 'two', position: 0 });
    const aside = String(told?.detail.aside);
    expect(path.basename(aside)).toMatch(/^lost-two-/);
    expect(await readFile(aside, 'utf8')).toBe(linesOf('two'));
    expect(await textOf(core, 'one')).toContain(linesOf('one'));
    expect(await own(root, 'redo')).toEqual([]);
  });

  test.each([
    ['that was only appended to', 'plain'],
    ['that was made as a stream', 'stream'],
  ])('%s is found in another directory, be it before anything was remembered of it', async (_what, kind) => {
    const directory = await diskDirectory();
    await mkdir(path.join(directory, 'sub'));
    const first = await start(directory);
    if (kind === 'plain') await writeFile(path.join(directory, 'file'), '');
    else await makeStream(first.core, 'file');
    await appendLine(first.core, 'file', 'acknowledged\n');
    await rename(path.join(directory, 'file'), path.join(directory, 'sub/file'));
    // As a loss of power leaves it.
    await truncate(path.join(directory, 'sub/file'));
    const next = await start(directory);
    expect(await textOf(next.core, 'sub/file')).toBe('acknowledged\n');
    expect(next.about('not to be found')).toEqual([]);
  });

  test('and is nowhere is told before anything was remembered of it, too', async () => {
    const directory = await diskDirectory();
    const first = await start(directory);
    await writeFile(path.join(directory, 'file'), '');
    await appendLine(first.core, 'file', 'acknowledged\n');
    await rm(path.join(directory, 'file'));
    const [told] = (await start(directory)).about('not to be found');
    expect(await readFile(String(told?.detail.aside), 'utf8')).toBe('acknowledged\n');
  });

  test('is not missed when the server had deleted it before anything was remembered of it', async () => {
    const directory = await diskDirectory();
    const first = await start(directory);
    await writeFile(path.join(directory, 'file'), '');
    await appendLine(first.core, 'file', 'acknowledged\n');
    await first.core.streams.delete(Permit.own(ResourcePath.parse('file')));
    expect((await start(directory)).about('not to be found')).toEqual([]);
    expect(await own(directory, 'aside')).toEqual([]);
  });

  test('leaves its bytes for an operator once, however many starts fail', async () => {
    const root = takeKilledRoot();
    await rm(path.join(root, 'two'));
    const dropping = vi.spyOn(Journal.prototype, 'dropReplayed').mockRejectedValue(systemError('ENOSPC'));
    for (let i = 0; i < 3; i++) await expect(start(root)).rejects.toMatchObject({ code: 'HFS_STORAGE_FULL' });
    dropping.mockRestore();
    await start(root);
    expect(await own(root, 'aside')).toHaveLength(1);
  });

  test.each(['os', 'disk'] as const)(
    'is not missed when the server had deleted it (%s)',
    async (durability) => {
      const root = await killedRoot('delete a stream', { durability });
      await rm(storeOf(root), { recursive: true });
      const { told } = await start(root, durability);
      expect(told.map(({ message }) => message)).toEqual([
        'the server before this one was killed: its journal was replayed',
      ]);
      expect(await own(root, 'aside')).toEqual([]);
    },
  );
});

describe('a recovery that fails', () => {
  test.each(['a start', 'a check'])(
    'removes nothing, be it of %s, and what it was about is there after the next one',
    async (who) => {
      const root = takeKilledRoot();
      const before = await own(root, 'redo');
      const saving = failToSave('EMFILE', (name) => name === 'two');
      const trying = who === 'a start' ? start(root) : checkRoot(await Root.open(root), () => {});
      await expect(trying).rejects.toMatchObject({ code: 'HFS_STORAGE_BUSY' });
      expect(before).toHaveLength(1);
      expect(await own(root, 'redo')).toEqual(before);
      saving.mockRestore();
      const { core } = await start(root);
      expect(await textOf(core, 'one')).toContain(linesOf('one'));
      expect(await textOf(core, 'two')).toBe(linesOf('two'));
      expect(await own(root, 'redo')).toEqual([]);
    },
  );

  test('because the disk is full keeps the log, and starts for all others; a check tells of it', async () => {
    const root = takeKilledRoot();
    const before = await own(root, 'redo');
    const saving = failToSave('ENOSPC', (name) => name === 'two');
    expect(await checkRoot(await Root.open(root), () => {})).toBe(false);
    const first = await start(root);
    expect(first.about('cannot be brought up to date')).toMatchObject([{ detail: { path: 'two' } }]);
    await expect(appendLine(first.core, 'two', 'two 3\n')).rejects.toMatchObject({
      code: 'HFS_STORAGE_FULL',
    });
    await appendLine(first.core, 'one', 'one 4\n');
    await first.core.close();
    expect(await own(root, 'redo')).toEqual(before);
    saving.mockRestore();
    const { core } = await start(root);
    expect(await textOf(core, 'one')).toMatch(/one 4\n$/);
    expect(await textOf(core, 'two')).toBe(linesOf('two'));
    expect(await own(root, 'redo')).toEqual([]);
  });

  test('for one stream only starts for all others; that one takes no appends, and is whole after a later start', async () => {
    const root = takeKilledRoot();
    const saving = failToSave('EIO', (name) => name === 'two');
    const first = await start(root);
    expect(first.about('cannot be brought up to date')).toMatchObject([{ detail: { path: 'two' } }]);
    expect(await textOf(first.core, 'one')).toContain(linesOf('one'));
    await appendLine(first.core, 'one', 'one 4\n');
    await expect(appendLine(first.core, 'two', 'two 3\n')).rejects.toMatchObject({
      code: 'HFS_STORAGE_ERROR',
    });
    const session = first.core.sessions.open(Permit.own(ResourcePath.parse('two')), {}, NOBODY);
    await expect(session).rejects.toMatchObject({ code: 'HFS_STORAGE_ERROR' });
    expect(await own(root, 'redo')).toHaveLength(1);
    expect(await own(root, 'quarantine')).toHaveLength(1);
    await first.core.close();

    saving.mockRestore();
    const second = await start(root);
    expect(await textOf(second.core, 'two')).toBe(linesOf('two'));
    await appendLine(second.core, 'two', 'two 3\n', { id: 'p', epoch: 0, seq: 3 });
    expect(await own(root, 'quarantine')).toEqual([]);
  });

  test('for one stream only leaves its file alone when the root is checked', async () => {
    const root = takeKilledRoot();
    const saving = failToSave('EIO', (name) => name === 'two');
    const lines: string[] = [];
    expect(await checkRoot(await Root.open(root), (line) => lines.push(line))).toBe(false);
    expect(lines.join('\n')).toContain('two: a stream cannot be brought up to date');
    expect(await readFile(path.join(root, 'two'), 'utf8')).toBe(linesOf('two'));
    saving.mockRestore();
    expect(await checkRoot(await Root.open(root), () => {})).toBe(true);
    expect(await textOf((await start(root)).core, 'two')).toBe(linesOf('two'));
  });
});

describe('a log that a start has kept because the disk was full', () => {
  const REPLAYED = ['the server before this one was killed: its journal was replayed'];

  /** A root of a server that was killed, with one that runs, and could not bring `two` up to date. */
  async function startFull(root: string, durability: 'os' | 'disk' = 'os') {
    const saving = failToSave('ENOSPC', (name) => name === 'two');
    const { core, about } = await start(root, durability);
    expect(about('cannot be brought up to date')).toMatchObject([{ detail: { path: 'two' } }]);
    expect(await own(root, 'redo')).toHaveLength(1);
    return { core, saving };
  }

  test.each([
    ['a stream that was made good', 'one', 'two', 'os'],
    ['a stream that was made good', 'one', 'two', 'disk'],
    ['the stream that needs it', 'two', 'one', 'os'],
    ['the stream that needs it', 'two', 'one', 'disk'],
  ] as const)('does not bring back %s, when that is deleted meanwhile (%s, not %s, %s)', async (...args) => {
    const [_what, name, other, durability] = args;
    const root = takeKilledRoot(durability);
    const { core, saving } = await startFull(root, durability);
    await core.streams.delete(Permit.own(ResourcePath.parse(name)));
    await core.close();
    saving.mockRestore();
    const next = await start(root, durability);
    expect(next.told.map(({ message }) => message)).toEqual(name === 'one' ? REPLAYED : []);
    expect(await own(root, 'aside')).toEqual([]);
    expect(await own(root, 'redo')).toEqual([]);
    expect(await textOf(next.core, other)).toContain(linesOf(other));
  });

  test('and that cannot be rid of the others lets no server start, until it can be', async () => {
    const root = takeKilledRoot();
    const saving = failToSave('ENOSPC', (name) => name === 'two');
    const voiding = vi.spyOn(Journal.prototype, 'annulReplayed').mockRejectedValueOnce(systemError('EIO'));
    onTestFinished(() => voiding.mockRestore());
    await expect(start(root)).rejects.toMatchObject({ code: 'HFS_STORAGE_ERROR' });
    saving.mockRestore();
    const { core } = await start(root);
    expect(await textOf(core, 'one')).toContain(linesOf('one'));
    expect(await textOf(core, 'two')).toBe(linesOf('two'));
  });

  test('brings back nothing that outlives its time meanwhile', async () => {
    const root = await killedRoot('be killed with streams that expire');
    // Used last long ago.
    await rewriteRecords(root, (text) => JSON.stringify({ ...JSON.parse(text), accessedMs: 1000 }));
    const { core, saving } = await startFull(root);
    for (const name of ['one', 'two']) {
      await expect(textOf(core, name)).rejects.toMatchObject({ code: 'HFS_RESOURCE_NOT_FOUND' });
    }
    await core.close();
    saving.mockRestore();
    expect((await start(root)).told).toEqual([]);
    expect(await own(root, 'aside')).toEqual([]);
  });

  test.each(['closes', 'is killed'])(
    'is of use to what is renamed or appended to until the server %s',
    async (how) => {
      const root = takeKilledRoot();
      const { core, saving } = await startFull(root);
      for (const name of ['one', 'two']) await rename(path.join(root, name), path.join(root, `${name}.1`));
      for (const seq of [4, 5]) await appendLine(core, 'one.1', `one ${seq}\n`, { id: 'p', epoch: 0, seq });
      if (how === 'closes') await core.close();
      saving.mockRestore();
      const next = await start(root);
      expect(next.told.map(({ message }) => message)).toEqual(REPLAYED);
      expect(await textOf(next.core, 'one.1')).toMatch(/\none 4\none 5\n$/);
      expect(await textOf(next.core, 'two.1')).toBe(linesOf('two'));
    },
  );

  test('cuts off once what was under way, and nothing that comes there meanwhile', async () => {
    const root = takeKilledRoot();
    await writeFile(path.join(root, 'file'), 'base\nunder way');
    const { stat } = await (await Root.open(root)).openRead(ResourcePath.parse('file'));
    const header = { path: 'file', version: 1, start: 5, length: 400_000, intent: true };
    await appendFile(
      path.join(root, RESERVED, 'redo/0000000001.log'),
      Buffer.concat(encodeEntry({ ...header, file: stat.fingerprint }, [])),
    );
    const { core, saving } = await startFull(root);
    expect(await textOf(core, 'file')).toBe('base\n');
    // Nobody knows who has written it.
    const [aside] = await own(root, 'aside');
    expect(await readFile(path.join(root, RESERVED, 'aside', aside as string), 'utf8')).toBe('under way');
    await appendFile(path.join(root, 'file'), 'by another program\n');
    await core.close();
    saving.mockRestore();
    expect(await textOf((await start(root)).core, 'file')).toBe('base\nby another program\n');
  });
});

test.each([
  ['full', 'ENOSPC'],
  ['broken', 'EIO'],
])(
  'what a disk that is %s kept from being made good is there again with a file whose deletion is not safe',
  async (_what, code) => {
    const root = takeKilledRoot('disk');
    const saving = failToSave(code, (name) => name === 'two');
    const { core } = await start(root, 'disk');
    const file = path.join(root, 'two');
    const outside = await diskDirectory();
    const [spare, remembered] = [path.join(outside, 'spare'), path.join(outside, 'records')];
    await link(file, spare);
    await cp(storeOf(root), remembered, { recursive: true });
    const syncing = vi.spyOn(Root.prototype, 'syncNames').mockRejectedValue(systemError('EIO'));
    onTestFinished(() => syncing.mockRestore());
    await expect(core.streams.delete(Permit.own(ResourcePath.parse('two')))).rejects.toMatchObject({
      code: 'HFS_OUTCOME_UNKNOWN',
    });
    await core.close();
    syncing.mockRestore();
    saving.mockRestore();
    // As a loss of power leaves it: all that was not synced is as before.
    await truncate(spare);
    await rename(spare, file);
    await rm(storeOf(root), { recursive: true });
    await cp(remembered, storeOf(root), { recursive: true });
    expect(await textOf((await start(root, 'disk')).core, 'two')).toBe(linesOf('two'));
  },
);

test('what is cut off, because it was under way, stays so after a loss of power', async () => {
  const directory = await diskDirectory();
  await writeFile(path.join(directory, 'file'), `base\n${'x'.repeat(1000)}`);
  const { stat } = await (await Root.open(directory)).openRead(ResourcePath.parse('file'));
  const header = {
    file: stat.fingerprint,
    path: 'file',
    version: 1,
    start: 5,
    length: 400_000,
    intent: true,
  };
  await mkdir(path.join(directory, RESERVED, 'redo'), { recursive: true });
  await writeFile(
    path.join(directory, RESERVED, 'redo/0000000001.log'),
    Buffer.concat(encodeEntry(header, [])),
  );
  const steps: string[] = [];
  const syncing = vi.spyOn(AppendFile.prototype, 'sync').mockImplementation(async function look(
    this: AppendFile,
  ) {
    steps.push(`synced with ${(await this.state()).size} bytes`);
  });
  const { dropReplayed } = Journal.prototype;
  const dropping = vi.spyOn(Journal.prototype, 'dropReplayed').mockImplementation(function drop(
    this: Journal<object>,
  ) {
    steps.push('dropped');
    return dropReplayed.call(this);
  });
  onTestFinished(() => {
    syncing.mockRestore();
    dropping.mockRestore();
  });
  await start(directory, 'disk');
  // The copy of it first.
  expect(steps).toEqual(['synced with 1000 bytes', 'synced with 5 bytes', 'dropped']);
});

test('what a session has brought is made good, although what makes an earlier one moot was written after it', async () => {
  const directory = await diskDirectory();
  // The disk has lost what the second session has brought.
  await writeFile(path.join(directory, 'file'), 'one');
  const { stat } = await (await Root.open(directory)).openRead(ResourcePath.parse('file'));
  const entry = (what: object, payload = '') =>
    encodeEntry(
      { file: stat.fingerprint, path: 'file', version: 0, start: 0, length: payload.length, ...what },
      payload === '' ? [] : [Buffer.from(payload)],
    );
  await mkdir(path.join(directory, RESERVED, 'redo'), { recursive: true });
  const entries = [
    entry({ run: 1 }, 'one, cut'),
    entry({ run: 2, start: 3 }, ' two'),
    entry({ moot: 1 }),
  ].flat();
  await writeFile(path.join(directory, RESERVED, 'redo/0000000001.log'), Buffer.concat(entries));
  await start(directory, 'disk');
  expect(await readFile(path.join(directory, 'file'), 'utf8')).toBe('one two');
});

test('a recovery that takes long says how far it is', async () => {
  const root = takeKilledRoot();
  let isTold = () => {};
  const told = new Promise<void>((resolve) => {
    isTold = resolve;
  });
  const syncing = vi.spyOn(AppendFile.prototype, 'sync').mockImplementation(() => told);
  onTestFinished(() => syncing.mockRestore());
  const progress: Told[] = [];
  const report: Report = (message, detail) => {
    if (!message.includes('bringing streams up to date')) return;
    progress.push({ message, detail });
    isTold();
  };
  const core = new Core(await Root.open(root), { durability: 'disk', graceMs: 0, report });
  onTestFinished(() => core.close());
  await core.serve();
  const [first] = progress;
  expect(first?.detail).toMatchObject({ streams: 0, ofStreams: 2, bytes: first?.detail.ofBytes });
});

const NOBODY = {
  numbers: new AppendNumbers('session', 'websocket'),
  drained: () => {},
  safe: () => {},
  lost: () => {},
  deposed: () => {},
};
