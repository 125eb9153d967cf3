import fs from 'node:fs';
import { link, mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { ClassicLevel } from 'classic-level';
import { vi } from 'vitest';
import type { StoreChange } from '../../../src/storage/records/level-store.ts';
import type { Random } from '../random.ts';
import type { Fact } from './crash-model.ts';

/** Which file it is. */
interface FileId {
  ino: string;
  birthtimeNs: string;
}

/** A change of a file's bytes. */
type DataChange =
  | { op: 'write'; file: FileId; at?: number; data: string }
  | { op: 'truncate'; file: FileId; size: number };

/** A change of the names in a directory. */
type NameChange = { directory: string; name: string } & (
  | { op: 'mkdir' }
  | { op: 'unlink' }
  | { op: 'link'; file: FileId }
  | { op: 'rename'; from: string }
);

/** What was written together to a store of records. */
interface StoreBatch {
  op: 'batch';
  /** Path of the store below the root. */
  store: string;
  changes: StoreChange[];
}

/** A line of what `power-hook.cjs` writes down. */
type Entry =
  | DataChange
  | NameChange
  | StoreBatch
  | { op: 'fact'; fact: Fact }
  | { op: 'sync'; number: string; store: string }
  | { op: 'sync'; number: string; file: FileId }
  | { op: 'sync'; number: string; directory: string }
  | { op: 'synced'; number: string };

/** What a disk has of what was not synced: nothing, all, or so much as chance will have it. */
export type Kept = 'nothing' | 'everything' | 'some';

/** What becomes of what was not synced: of the bytes of files, and of names in directories. */
export interface Loss {
  data: Kept;
  names: Kept;
}

/** What was changed in one file or directory, in order, and how much of that is sure to stay. */
class Changes<C> {
  readonly all: C[] = [];
  #syncedCount = 0;

  /** Takes what was there by now as synced, when what this returns is called. */
  sync(): () => void {
    const count = this.all.length;
    return () => {
      this.#syncedCount = Math.max(this.#syncedCount, count);
    };
  }

  /** Those that a disk may have in the end. */
  kept(kept: Kept, random: Random): C[] {
    if (kept === 'everything') return this.all;
    if (kept === 'nothing') return this.all.slice(0, this.#syncedCount);
    return this.all.slice(0, random.integer(this.#syncedCount, this.all.length));
  }
}

/** What a program did to a root, from an empty one on: from that comes what a disk may have of it after a loss of power. */
export class PowerJournal {
  readonly #entries: readonly Entry[];

  private constructor(entries: readonly Entry[]) {
    this.#entries = entries;
  }

  static async read(file: string): Promise<PowerJournal> {
    const lines = (await readFile(file, 'utf8')).split('\n').filter(Boolean);
    return new PowerJournal(lines.map((line) => JSON.parse(line) as Entry));
  }

  /** How many moments there are at which the power may go. */
  get length(): number {
    return this.#entries.length;
  }

  /** What was told up to a moment. */
  facts(moment: number): Fact[] {
    return this.#entries.slice(0, moment).flatMap((entry) => (entry.op === 'fact' ? [entry.fact] : []));
  }

  /** What was done last before a moment, for messages. */
  describe(moment: number): string {
    return JSON.stringify(this.#entries[moment - 1])?.slice(0, 200);
  }

  /**
   * Makes the root that a disk may show after the power went.
   *
   * @param directory for it; must not be there
   * @returns who its files are, see {@link Identities}
   */
  async restore(moment: number, loss: Loss, random: Random, directory: string): Promise<Identities> {
    const files = new Map<string, Changes<DataChange>>();
    const directories = new Map<string, Changes<NameChange>>();
    const stores = new Map<string, Changes<StoreBatch>>();
    const syncs = new Map<string, () => void>();
    for (const entry of this.#entries.slice(0, moment)) {
      if (entry.op === 'fact') continue;
      if (entry.op === 'synced') {
        syncs.get(entry.number)?.();
        continue;
      }
      if ('store' in entry) {
        const changes = changesOf(stores, entry.store);
        if (entry.op === 'sync') syncs.set(entry.number, changes.sync());
        else changes.all.push(entry);
      } else if ('directory' in entry) {
        const changes = changesOf(directories, entry.directory);
        if (entry.op === 'sync') syncs.set(entry.number, changes.sync());
        else changes.all.push(entry);
      } else {
        const changes = changesOf(files, keyOf(entry.file));
        if (entry.op === 'sync') syncs.set(entry.number, changes.sync());
        else changes.all.push(entry);
      }
    }
    const contents = new Map<string, Buffer>();
    for (const [key, changes] of files) contents.set(key, contentAfter(changes.kept(loss.data, random)));
    const names = new Map<string, Map<string, FileId | 'directory'>>();
    for (const [at, changes] of directories) names.set(at, namesAfter(changes.kept(loss.names, random)));
    const identities = new Identities();
    await makeDirectory(directory, '', { names, contents, identities, made: new Map() });
    for (const [at, changes] of stores) {
      await fillStore(path.join(directory, at), changes.kept(loss.data, random));
    }
    return identities;
  }
}

/** What a root is made of. */
interface Parts {
  names: ReadonlyMap<string, ReadonlyMap<string, FileId | 'directory'>>;
  contents: ReadonlyMap<string, Buffer>;
  identities: Identities;
  /** Where files are that were made already, by their keys: they may have several names. */
  made: Map<string, string>;
}

/** Writes to a store, if its directory is there. */
async function fillStore(directory: string, batches: readonly StoreBatch[]): Promise<void> {
  if (batches.length === 0 || !fs.existsSync(directory)) return;
  const store = new ClassicLevel(directory);
  await store.open();
  for (const { changes } of batches) await store.batch(changes);
  await store.close();
}

async function makeDirectory(top: string, at: string, parts: Parts): Promise<void> {
  await mkdir(path.join(top, at));
  for (const [name, what] of parts.names.get(at) ?? []) {
    const location = path.join(at, name);
    if (what === 'directory') {
      await makeDirectory(top, location, parts);
      continue;
    }
    const file = path.join(top, location);
    const before = parts.made.get(keyOf(what));
    if (before !== undefined) await link(before, file);
    else {
      await writeFile(file, parts.contents.get(keyOf(what)) ?? '');
      parts.made.set(keyOf(what), file);
      parts.identities.add(file, what);
    }
  }
}

/** Streams know their files by inode and birth time, which files that are made anew do not have: here they have what they had. */
export class Identities {
  readonly #files = new Map<bigint, FileId>();

  add(name: string, file: FileId): void {
    this.#files.set(fs.statSync(name, { bigint: true }).ino, file);
  }

  /** Has all who ask believe it, until the returned function is called. */
  assume(): () => void {
    const { fstatSync } = fs;
    const { lstat } = fs.promises;
    const assume = <S>(stat: S): S => {
      const { ino } = stat as { ino: unknown };
      const file = typeof ino === 'bigint' ? this.#files.get(ino) : undefined;
      if (file === undefined) return stat;
      return Object.assign(stat as object, {
        ino: BigInt(file.ino),
        birthtimeNs: BigInt(file.birthtimeNs),
      }) as S;
    };
    const descriptors = vi.spyOn(fs, 'fstatSync');
    descriptors.mockImplementation(((...args: Parameters<typeof fstatSync>) =>
      assume(fstatSync(...args))) as never);
    const names = vi.spyOn(fs.promises, 'lstat');
    names.mockImplementation((async (...args: Parameters<typeof lstat>) =>
      assume(await lstat(...args))) as never);
    return () => {
      descriptors.mockRestore();
      names.mockRestore();
    };
  }
}

function keyOf({ ino, birthtimeNs }: FileId): string {
  return `${ino}-${birthtimeNs}`;
}

function changesOf<C>(map: Map<string, Changes<C>>, key: string): Changes<C> {
  const changes = map.get(key) ?? new Changes<C>();
  map.set(key, changes);
  return changes;
}

function contentAfter(changes: readonly DataChange[]): Buffer {
  let bytes = Buffer.alloc(0);
  let size = 0;
  for (const change of changes) {
    if (change.op === 'truncate') {
      bytes.fill(0, change.size, size);
      size = change.size;
      continue;
    }
    const at = change.at ?? size;
    const end = at + change.data.length;
    if (end > bytes.length) bytes = Buffer.concat([bytes.subarray(0, size), Buffer.alloc(2 * end - size)]);
    bytes.write(change.data, at, 'latin1');
    size = Math.max(size, end);
  }
  return bytes.subarray(0, size);
}

function namesAfter(changes: readonly NameChange[]): Map<string, FileId | 'directory'> {
  const names = new Map<string, FileId | 'directory'>();
  for (const change of changes) {
    if (change.op === 'mkdir') names.set(change.name, 'directory');
    else if (change.op === 'link') names.set(change.name, change.file);
    else if (change.op === 'unlink') names.delete(change.name);
    else {
      const moved = names.get(change.from);
      names.delete(change.from);
      if (moved !== undefined) names.set(change.name, moved);
    }
  }
  return names;
}
