import { existsSync } from 'node:fs';
import { cp, rm } from 'node:fs/promises';
import path from 'node:path';
import { ClassicLevel } from 'classic-level';
import { onTestFinished, vi } from 'vitest';
import type { Core } from '../../../src/core/core.ts';
import type { JournalHeader } from '../../../src/core/log/file-entry.ts';
import { Journal } from '../../../src/storage/journal/journal.ts';
import { Segments } from '../../../src/storage/journal/segments.ts';
import type { FileRecord, Tombstone } from '../../../src/storage/records/file-record.ts';
import { JOURNALED_KEY } from '../../../src/storage/records/record-keys.ts';
import { Records, type RecordsEntry, type RecordsOptions } from '../../../src/storage/records/records.ts';
import { Reserve } from '../../../src/storage/records/reserve.ts';
import type { StreamLink } from '../../../src/storage/records/stream-state.ts';
import type { Report } from '../../../src/storage/report.ts';
import { WriteTurns } from '../../../src/storage/write-turns.ts';
import { RESERVED } from '../disk/root-files.ts';
import { temporaryDirectory } from '../server/server.ts';
import { waitFor } from '../wait-for.ts';

/** Where the store of a root lies. */
export function storeOf(root: string): string {
  return path.join(root, RESERVED, 'records');
}

/** The journal of a root that no server uses. */
export function journalOf(root: string, isDurable = false): Journal<RecordsEntry> {
  return new Journal(path.join(root, RESERVED, 'redo'), new WriteTurns(), isDurable);
}

/** The store of a root that no server uses; to be opened and closed by the caller. */
export function recordsOf(
  root: string,
  report: Report = () => {},
  journal: RecordsOptions['journal'] = journalOf(root),
): Records {
  const own = (name: string) => path.join(root, RESERVED, name);
  return new Records({
    directory: own('records'),
    aside: own('aside'),
    reserve: new Reserve(own('reserve')),
    report,
    journal,
  });
}

/** Runs `action` on the store of a root that no server uses, as it lies there: texts by keys. */
export async function withStore<T>(root: string, action: (store: ClassicLevel) => Promise<T>): Promise<T> {
  const store = new ClassicLevel(storeOf(root));
  await store.open();
  try {
    return await action(store);
  } finally {
    await store.close();
  }
}

/** What is remembered in a root, by key: in the store, and in the journal. Also while a server uses it, of which this is a copy. */
export async function storedIn(root: string): Promise<Map<string, string>> {
  const copy = path.join(await temporaryDirectory(), 'root');
  for (;;) {
    try {
      // First, because what goes from there is in the store by then.
      const journaled = await journaledIn(root);
      await cp(storeOf(root), storeOf(copy), { recursive: true, filter: isNoLock });
      const stored = await withStore(copy, async (store) => new Map(await store.iterator().all()));
      return withJournaled(stored, journaled);
    } catch (error) {
      // The server has replaced a file meanwhile.
      if (!existsSync(storeOf(root)) || !isMissing(error)) throw error;
    } finally {
      await rm(copy, { recursive: true, force: true });
    }
  }
}

/** What the journal of a root has of its records. */
async function journaledIn(root: string): Promise<RecordsEntry[]> {
  const segments = new Segments(path.join(root, RESERVED, 'redo'));
  const entries: RecordsEntry[] = [];
  for await (const { header } of segments.entries<JournalHeader>(await segments.numbers(), () => {})) {
    if ('records' in header) entries.push(header);
  }
  return entries;
}

function withJournaled(stored: Map<string, string>, journaled: readonly RecordsEntry[]): Map<string, string> {
  const known = Number(stored.get(JOURNALED_KEY) ?? 0);
  for (const { number, records } of journaled) {
    if (number <= known) continue;
    for (const [key, value] of records) {
      if (value === null) stored.delete(key);
      else stored.set(key, value);
    }
  }
  return stored;
}

function isNoLock(name: string): boolean {
  return path.basename(name) !== 'LOCK';
}

/** Whether a file was missing, or was half of it, when it was read. */
function isMissing(error: unknown): boolean {
  const { code, cause } = error as NodeJS.ErrnoException;
  return code === 'ENOENT' || code === 'LEVEL_CORRUPTION' || (cause !== undefined && isMissing(cause));
}

/** What is remembered of a file. */
export interface StoredRecord {
  fingerprint: string;
  record: FileRecord;
}

/** What a root remembers of its files, by their paths; what is damaged by its fingerprint. */
export async function recordsIn(root: string): Promise<Record<string, StoredRecord>> {
  const entries = entriesOf(await storedIn(root), 'file').map(([fingerprint, text]) => {
    const record = parse(text);
    return [record?.path ?? fingerprint, { fingerprint, record }] as const;
  });
  return Object.fromEntries(entries);
}

/** What is remembered of the file at a path. */
export async function recordAt(root: string, name: string): Promise<StoredRecord> {
  return (await recordsIn(root))[name] as StoredRecord;
}

/** What a root remembers of the last append to each of its resources, by their paths. */
export async function rememberedIn(root: string): Promise<Record<string, Record<string, unknown>>> {
  const records = Object.entries(await recordsIn(root));
  return Object.fromEntries(records.map(([name, { record }]) => [name, { ...record.append }]));
}

/** What is left of the streams of a root that live on in their forks, by path. */
export async function tombstonesIn(root: string): Promise<Record<string, Tombstone>> {
  const entries = entriesOf(await storedIn(root), 'tombstone');
  return Object.fromEntries(entries.map(([name, text]) => [name, parse(text)]));
}

/** Fingerprints of the files of a root that are being removed. */
export async function removalsIn(root: string): Promise<string[]> {
  return entriesOf(await storedIn(root), 'removal').map(([name]) => name);
}

/** The paths of the forks of the file at a path. */
export async function forksIn(root: string, name: string): Promise<string[]> {
  const stored = await storedIn(root);
  const { fingerprint } = (await recordsIn(root))[name] as StoredRecord;
  const forks: StreamLink[] = JSON.parse(stored.get(`forks!${fingerprint}`) ?? '[]');
  return forks.map(({ path: fork }) => fork);
}

/** Which files of a root are to be looked at whether they have expired, and when: `MS!FINGERPRINT`. */
export async function dueIn(root: string): Promise<string[]> {
  return entriesOf(await storedIn(root), 'due').map(([name]) => name);
}

/** Replaces what is remembered of all files of a root that no server uses by what `change` makes of the text. */
export async function rewriteRecords(
  root: string,
  change: (text: string) => string | Buffer | undefined,
): Promise<number> {
  const entries = [...(await storedIn(root))].filter(([key]) => key.startsWith('file!'));
  await withStore(root, async (store) => {
    for (const [key, text] of entries) {
      const changed = change(text);
      if (changed === undefined) await store.del(key);
      else await store.put<string, Buffer>(key, Buffer.from(changed), { valueEncoding: 'buffer' });
    }
  });
  return entries.length;
}

/** Returns what makes a write of the store fail: when that resolves, the store is being opened anew. */
export function failingWrites(records: Records): () => Promise<void> {
  let isFailing = false;
  /** Until then the store is not opened, however quick that would be. */
  let isSeen: Promise<void> | undefined;
  const { batch, open } = ClassicLevel.prototype;
  const writing = vi.spyOn(ClassicLevel.prototype, 'batch');
  writing.mockImplementation(async function failing(this: ClassicLevel, ...args: unknown[]) {
    if (!isFailing) return batch.apply(this, args as never);
    isFailing = false;
    throw Object.assign(new Error('IO error: made up'), { code: 'LEVEL_IO_ERROR' });
  } as never);
  onTestFinished(() => writing.mockRestore());
  const opening = vi.spyOn(ClassicLevel.prototype, 'open');
  opening.mockImplementation(async function waiting(this: ClassicLevel, ...args: unknown[]) {
    await isSeen;
    return open.apply(this, args as never);
  } as never);
  onTestFinished(() => opening.mockRestore());
  return async () => {
    isFailing = true;
    let seen = () => {};
    isSeen = new Promise((resolve) => {
      seen = resolve;
    });
    const change = { path: 'other', append: { start: 0, state: 'open' } } as const;
    records.write((draft) => draft.set('9-9', change), { durable: false }).catch(() => undefined);
    await waitFor(() => records.readable() !== undefined, 'the store to be closed');
    seen();
  };
}

/** What cores of this process have opened last, by the directories of their roots. */
const opened = new Map<string, { records: Records; journal?: Journal<JournalHeader> }>();

/**
 * Has a core recover its root. Another one of this process that has it open is as good as killed from then on:
 * its store and its journal are taken away, and it can write nothing more.
 */
export async function recoverAfterKill(directory: string, core: Core): Promise<void> {
  await abandonStore(directory);
  const { records } = core;
  opened.set(directory, { records });
  const { replay } = Journal.prototype;
  const replaying = vi.spyOn(Journal.prototype, 'replay').mockImplementation(function noted(
    this: Journal<JournalHeader>,
  ) {
    opened.set(directory, { records, journal: this });
    return replay.call(this);
  });
  await core.serve().finally(() => replaying.mockRestore());
}

/** Takes the store and the journal of a root away from who has opened them in this process last. */
export async function abandonStore(directory: string): Promise<void> {
  const { records, journal } = opened.get(directory) ?? {};
  opened.delete(directory);
  // What it has yet to write down now and then is as it was: the next one replays that.
  const refuse = () => Promise.reject(new Error('this server was killed'));
  if (journal !== undefined) Object.assign(journal, { rotate: refuse, drop: refuse });
  await records?.close();
}

function entriesOf(stored: ReadonlyMap<string, string>, space: string): [name: string, text: string][] {
  return [...stored]
    .filter(([key]) => key.startsWith(`${space}!`))
    .map(([key, text]) => [key.slice(space.length + 1), text]);
}

function parse(text: string) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
