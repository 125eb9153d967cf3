import fs from 'node:fs';
import path from 'node:path';
import { makeDirectories, syncDirectories } from '../file-io.ts';
import type { Report } from '../report.ts';
import { moveAside, OWN_DIRECTORY_MODE, readDirectory } from '../root/own-directory.ts';
import type { Root } from '../root/root.ts';
import { hasErrno, storageFailure } from '../storage-failure.ts';
import {
  type FileRecord,
  forksWithin,
  isDamaged,
  parseRecord,
  parseTombstone,
  type Tombstone,
} from './file-record.ts';
import { DURABLE, type Records, type RecordsChange } from './records.ts';
import type { StreamLink, StreamState } from './stream-state.ts';

/** How many documents are read at a time. */
const PARALLEL = 16;

/** How many documents are written together, … */
const MAX_TOGETHER = 500;

/** … or how many characters of them. */
const MAX_LENGTH = 4 * 1024 * 1024;

/** Time between two words on how far it is. */
const PROGRESS_MS = 1000;

const SUFFIX = '.json';

/** The state of a stream in a sidecar, which said of which streams it was the source, too. */
type SidecarStream = StreamState & { forks?: readonly StreamLink[] };

/** What a sidecar becomes. */
interface Imported {
  record: FileRecord;
  forks: readonly StreamLink[];
}

/** What is imported, and where to. */
export interface ImportOptions {
  root: Root;
  records: Records;
  /** Notified of what is damaged. */
  report: Report;
  /** Called every second with how far it is. */
  progress: Report;
}

/**
 * Imports what version 0.3 has remembered in one small file each: sidecars (`meta/`), tombstones (`gone/`), and what
 * expires when (`expiring/`). When all of it is safe in the store, these directories are moved away as they are, and
 * then removed: what lies in their place is always newer than what the store has, be it that a crash came between or
 * that 0.3 has run since. No server may run.
 *
 * @returns how many files were imported
 */
export async function import03({ root, records, report, progress }: ImportOptions): Promise<number> {
  let count = 0;
  const timer = setInterval(() => {
    // Most roots have none, and are only slow.
    if (count > 0) progress('records of an earlier version are imported', { count });
  }, PROGRESS_MS);
  try {
    const batch = new ImportBatch(records, () => {
      count++;
    });
    await inParallel(namesBelow(root.own('meta')), (name) => importSidecar(root, batch, name));
    await inParallel(namesBelow(root.own('gone')), (name) => importTombstone(root, batch, name, report));
    await batch.flush();
    await removeImported(root);
    return count;
  } catch (error) {
    throw storageFailure(error);
  } finally {
    clearInterval(timer);
  }
}

/** Removes what is imported. */
async function removeImported(root: Root): Promise<void> {
  const imported = root.own('imported-0.3');
  // What a crash has left of it.
  await removeTree(imported);
  // What is due comes last: what is left of the others after a crash is imported again, with that.
  for (const name of ['meta', 'gone', 'expiring'] as const) {
    const directory = root.own(name);
    if (!(await exists(directory))) continue;
    await makeDirectories(imported, OWN_DIRECTORY_MODE);
    await fs.promises.rename(directory, path.join(imported, name));
    await syncDirectories(imported, path.dirname(imported));
  }
  await removeTree(imported);
}

/** Changes that are gathered, so that many are written together. */
class ImportBatch {
  readonly #records: Records;
  readonly #counted: () => void;
  #changes: RecordsChange[] = [];
  #length = 0;

  constructor(records: Records, counted: () => void) {
    this.#records = records;
    this.#counted = counted;
  }

  /** @param length characters that it takes */
  async add(change: RecordsChange, length: number): Promise<void> {
    this.#changes.push(change);
    this.#length += length;
    this.#counted();
    if (this.#changes.length >= MAX_TOGETHER || this.#length >= MAX_LENGTH) await this.flush();
  }

  async flush(): Promise<void> {
    const changes = this.#changes;
    this.#changes = [];
    this.#length = 0;
    await this.#records.write((draft) => {
      for (const change of changes) change(draft);
    }, DURABLE);
  }
}

async function importSidecar(root: Root, batch: ImportBatch, name: string): Promise<void> {
  const fingerprint = path.basename(name, SUFFIX);
  const found = await readDocument(name);
  if (found === undefined) return;
  const { text, mtimeMs } = found;
  const sidecar = parseRecord(text);
  if (isDamaged(sidecar)) {
    await batch.add((draft) => draft.setDamaged(fingerprint, text), text.length);
    return;
  }
  // It was dated with the time before which nobody had to look.
  const due = await statOf(path.join(root.own('expiring'), `${fingerprint}${SUFFIX}`));
  const { record, forks } = recordOf(sidecar, mtimeMs, due?.mtimeMs);
  await batch.add((draft) => {
    draft.set(fingerprint, record);
    draft.setForks(fingerprint, forks);
  }, text.length);
}

/** @param accessedMs when it was changed last, which was the last access of a stream with a time to live */
function recordOf(sidecar: FileRecord, accessedMs: number, dueMs: number | undefined): Imported {
  const { forks = [], ...stream } = (sidecar.stream ?? {}) as SidecarStream;
  const record: FileRecord = {
    ...sidecar,
    ...(sidecar.stream && { stream }),
    ...(forks.length > 0 && { isForked: true }),
    ...(stream.ttlSeconds !== undefined && { accessedMs }),
    ...(dueMs !== undefined && { dueMs }),
  };
  return { record, forks };
}

async function importTombstone(root: Root, batch: ImportBatch, name: string, report: Report): Promise<void> {
  const { text } = (await readDocument(name)) ?? {};
  if (text === undefined) return;
  const tombstone = parseTombstone(text);
  if (tombstone === undefined) {
    const aside = await moveAside(name, root.own('aside'));
    report('what is left of a stream that was deleted is damaged, and set aside', { path: name, aside });
    return;
  }
  if (await isUndone(root, tombstone)) return;
  await batch.add((draft) => {
    draft.setTombstone(tombstone);
    draft.setForks(tombstone.fingerprint, forksWithin(text));
  }, text.length);
}

/** Whether the server was killed before it had deleted the stream: the tombstone came first. */
function isUndone(root: Root, { path: resourcePath, fingerprint }: Tombstone): boolean {
  const location = path.join('.', resourcePath);
  return root.statAt(location)?.fingerprint === fingerprint;
}

/**
 * Yields the names, absolute, of the documents below a directory, which may be missing; those that were not written
 * to their end are none.
 */
async function* namesBelow(directory: string): AsyncGenerator<string, void, undefined> {
  for await (const entry of await openDirectory(directory)) {
    const name = path.join(directory, entry.name);
    if (entry.isDirectory() && !entry.name.endsWith(SUFFIX)) yield* namesBelow(name);
    else if (entry.name.endsWith(SUFFIX)) yield name;
  }
}

async function inParallel(
  names: AsyncGenerator<string, void, undefined>,
  action: (name: string) => Promise<void>,
): Promise<void> {
  const work = async () => {
    for await (const name of names) await action(name);
  };
  await Promise.all(Array.from({ length: PARALLEL }, work));
}

async function readDocument(name: string): Promise<{ text: string; mtimeMs: number } | undefined> {
  const stat = await statOf(name);
  if (stat === undefined) return undefined;
  // Something else than a file is as good as one that is damaged.
  const text = stat.isFile() ? await fs.promises.readFile(name, 'utf8') : '';
  return { text, mtimeMs: stat.mtimeMs };
}

async function statOf(name: string): Promise<fs.Stats | undefined> {
  try {
    return await fs.promises.stat(name);
  } catch (error) {
    if (hasErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}

async function exists(name: string): Promise<boolean> {
  return (await statOf(name)) !== undefined;
}

/** Removes a directory with all that is in it, of which there may be much, entry by entry. */
async function removeTree(directory: string): Promise<void> {
  if (!(await exists(directory))) return;
  for await (const entry of await openDirectory(directory)) {
    const name = path.join(directory, entry.name);
    if (entry.isDirectory()) await removeTree(name);
    else await fs.promises.rm(name, { force: true });
  }
  // What a file system has passed over while entries went.
  if ((await readDirectory(directory)).length > 0) await fs.promises.rm(directory, { recursive: true });
  else await fs.promises.rmdir(directory);
}

async function openDirectory(directory: string): Promise<AsyncIterable<fs.Dirent>> {
  try {
    return await fs.promises.opendir(directory);
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ENOTDIR')) return nothing();
    throw error;
  }
}

async function* nothing(): AsyncGenerator<fs.Dirent, void, undefined> {}
