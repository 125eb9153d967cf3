import fs from 'node:fs';
import path from 'node:path';
import { OutcomeUnknownError } from '../../wire/errors.ts';
import { isStatus } from '../../wire/protocol.ts';
import { makeDirectories } from '../file-io.ts';
import { KeyedLock } from '../keyed-lock.ts';
import { copyAside, OWN_DIRECTORY_MODE, readDirectory } from '../own-directory.ts';
import { hasErrno, storageFailure } from '../storage-failure.ts';
import { type DocumentOptions, Documents } from './document.ts';
import { isStreamState, type StreamState } from './stream-state.ts';

/** How many documents are kept in memory. */
const MAX_CACHED = 4096;

/** What is remembered of the last append to a resource. */
export interface AppendRecord {
  /** The appender's token, if it sent one. */
  session?: string;
  /** Number of the appender's last request, if it counts them. */
  attempt?: number;
  /** Position at which its session began. */
  start: number;
  /** How it ended, or `open` if it has not: in this process, or in one that was killed. */
  state: 'open' | 'finished' | 'interrupted';
  /** Size of the file at the end. Missing while it is open. */
  end?: number;
  /** Size of the file when it had finished and was opened again, by a repeated handshake for instance. */
  finishedAt?: number;
  /** Exit status of the command that wrote it, if it has finished and its appender told. */
  status?: number | undefined;
}

/** What is remembered of a resource beside its bytes. */
export interface Sidecar {
  /** Path of the file below the root when this was written: where a start looks for it after a crash. */
  path: string;
  /** The last append through a session. */
  append?: AppendRecord;
  /** What makes it a stream. */
  stream?: StreamState;
  /** Set when the document is damaged: nobody knows what else it said. Not in the document. */
  isDamaged?: true;
}

/** As good as a document that is damaged: something broke. */
const DAMAGED: Sidecar = { path: '', append: { start: 0, state: 'interrupted' }, isDamaged: true };

/** Whether this stands for a document that is damaged. */
export function isDamaged(sidecar: Sidecar | undefined): boolean {
  return sidecar === DAMAGED;
}

interface Cached {
  sidecar: Sidecar | undefined;
  /** When its stream was read or written last, in milliseconds since 1970. */
  accessedMs: number;
  /** What the disk has of that. */
  notedMs: number;
}

/**
 * Small JSON documents, one for each file that needs one, each replaced as a
 * whole. They belong to the file, not to its name: they go with it when it is
 * renamed, and one that takes its name has none. Nobody else writes them.
 */
export class SidecarStore {
  readonly #directory: string;
  readonly #asideDirectory: string;
  readonly #documents = new Documents();
  readonly #lock = new KeyedLock();
  /** Those used last at the end. */
  readonly #cache = new Map<string, Cached>();

  /**
   * @param directory absolute; made when the first document is written
   * @param asideDirectory where damaged documents go before they are replaced, absolute
   */
  constructor(directory: string, asideDirectory: string) {
    this.#directory = directory;
    this.#asideDirectory = asideDirectory;
  }

  /** Reads the sidecar of a file. Undefined when there is none. */
  async read(fingerprint: string): Promise<Sidecar | undefined> {
    return (await this.#load(fingerprint)).sidecar;
  }

  /** Reads the sidecar of a file that is looked at in passing, among many: nothing is kept for it. */
  async peek(fingerprint: string): Promise<Sidecar | undefined> {
    return (this.#cache.get(fingerprint) ?? (await this.#readFile(fingerprint))).sidecar;
  }

  /** When the stream of a file was read or written last, in milliseconds since 1970, give or take what {@link touch} says. */
  async accessedMs(fingerprint: string): Promise<number> {
    return (await this.#load(fingerprint)).accessedMs;
  }

  /**
   * Tells that a stream is read or written now. Never rejects.
   *
   * @param toleranceMs how old what is on the disk may be, so that not each access is a write
   */
  async touch(fingerprint: string, toleranceMs: number): Promise<void> {
    try {
      const cached = await this.#load(fingerprint);
      const nowMs = Date.now();
      cached.accessedMs = nowMs;
      if (nowMs - cached.notedMs < toleranceMs) return;
      cached.notedMs = nowMs;
      await fs.promises.utimes(this.#fileOf(fingerprint), nowMs / 1000, nowMs / 1000);
    } catch {
      // What cannot be noted lives shorter after a restart.
    }
  }

  /**
   * Replaces the sidecar of a file by what `change` makes of it. After a crash there is the old one or the new one.
   *
   * @param options.durable whether it must survive a loss of power when this resolves
   * @param options.syncsName false when {@link syncNames} follows, which is cheaper for many
   */
  async update(
    fingerprint: string,
    change: (sidecar: Sidecar | undefined) => Sidecar,
    options: Pick<DocumentOptions, 'durable' | 'syncsName'>,
  ): Promise<void> {
    await this.#lock.run(fingerprint, async () => {
      const { sidecar } = this.#cached(fingerprint) ?? (await this.#readFile(fingerprint));
      if (sidecar?.isDamaged) await this.#setAside(fingerprint);
      const { isDamaged: _, ...whole } = change(sidecar);
      await this.#replace(fingerprint, whole, options);
    });
  }

  /** Makes the names of sidecars that were written survive a loss of power: each directory once. */
  async syncNames(fingerprints: Iterable<string>): Promise<void> {
    const directories = new Set(Array.from(fingerprints, (each) => path.dirname(this.#fileOf(each))));
    await Promise.all(Array.from(directories, (directory) => this.#documents.syncNames(directory)));
  }

  /** Replaces the sidecar of a file as {@link update} does, whatever it was. */
  write(fingerprint: string, sidecar: Sidecar, options: { durable: boolean }): Promise<void> {
    return this.update(fingerprint, () => sidecar, options);
  }

  /** Yields the names, absolute, of all documents; of one that was not written to its end without a fingerprint. */
  async *all(): AsyncGenerator<{ name: string; fingerprint: string | undefined }, void, undefined> {
    for (const directory of await readDirectory(this.#directory)) {
      for (const entry of await readDirectory(path.join(this.#directory, directory))) {
        const name = path.join(this.#directory, directory, entry);
        const fingerprint = path.basename(entry, '.json');
        if (entry.endsWith('.tmp')) yield { name, fingerprint: undefined };
        else if (name === this.#fileOf(fingerprint)) yield { name, fingerprint };
      }
    }
  }

  /**
   * Copies a document to where an operator finds it.
   *
   * @param directory made if it is missing
   * @returns where the copy is, absolute
   */
  copyAside(fingerprint: string, directory: string): Promise<string> {
    return this.#lock.run(fingerprint, () => copyAside(this.#fileOf(fingerprint), directory));
  }

  /** Forgets a file. */
  async remove(fingerprint: string): Promise<void> {
    await this.#lock.run(fingerprint, async () => {
      this.#cache.delete(fingerprint);
      try {
        await fs.promises.rm(this.#fileOf(fingerprint), { force: true });
      } catch (error) {
        throw storageFailure(error);
      }
    });
  }

  async #load(fingerprint: string): Promise<Cached> {
    const cached = this.#cached(fingerprint);
    if (cached !== undefined) return cached;
    // Not while it is replaced.
    return this.#lock.run(
      fingerprint,
      async () => this.#cached(fingerprint) ?? this.#remember(fingerprint, await this.#readFile(fingerprint)),
    );
  }

  /** Keeps it as the one used last. */
  #cached(fingerprint: string): Cached | undefined {
    const cached = this.#cache.get(fingerprint);
    if (cached === undefined) return undefined;
    this.#cache.delete(fingerprint);
    this.#cache.set(fingerprint, cached);
    return cached;
  }

  #remember(fingerprint: string, cached: Cached): Cached {
    this.#cache.set(fingerprint, cached);
    if (this.#cache.size > MAX_CACHED) this.#cache.delete(this.#cache.keys().next().value as string);
    return cached;
  }

  async #readFile(fingerprint: string): Promise<Cached> {
    try {
      const handle = await fs.promises.open(this.#fileOf(fingerprint));
      try {
        const { mtimeMs } = await handle.stat();
        return { sidecar: parse(await handle.readFile('utf8')), accessedMs: mtimeMs, notedMs: mtimeMs };
      } finally {
        await handle.close();
      }
    } catch (error) {
      if (hasErrno(error, 'ENOENT')) return { sidecar: undefined, accessedMs: Date.now(), notedMs: 0 };
      throw storageFailure(error);
    }
  }

  /** Keeps a damaged document for an operator to look at. */
  async #setAside(fingerprint: string): Promise<void> {
    const aside = path.join(this.#asideDirectory, `${fingerprint}-${Date.now()}.json`);
    try {
      await makeDirectories(this.#asideDirectory, OWN_DIRECTORY_MODE);
      await fs.promises.copyFile(this.#fileOf(fingerprint), aside);
    } catch (error) {
      throw storageFailure(error);
    }
  }

  async #replace(
    fingerprint: string,
    sidecar: Sidecar,
    options: Pick<DocumentOptions, 'durable' | 'syncsName'>,
  ): Promise<void> {
    const accessedMs = this.#cache.get(fingerprint)?.accessedMs ?? Date.now();
    // A change that is no access must not be taken for one.
    const mtimeMs = sidecar.stream?.ttlSeconds === undefined ? undefined : accessedMs;
    try {
      await this.#documents.write(this.#fileOf(fingerprint), sidecar, { ...options, mtimeMs });
    } catch (error) {
      // What is there now is for the disk to say.
      if (error instanceof OutcomeUnknownError) this.#cache.delete(fingerprint);
      throw error;
    }
    this.#remember(fingerprint, { sidecar, accessedMs, notedMs: accessedMs });
  }

  /** In a hundred directories, so that none is too long. */
  #fileOf(fingerprint: string): string {
    return path.join(this.#directory, fingerprint.slice(-2), `${fingerprint}.json`);
  }
}

function parse(text: string): Sidecar {
  try {
    const sidecar = JSON.parse(text);
    const isWhole =
      isAppendRecord(sidecar?.append) &&
      (sidecar.stream === undefined ? sidecar.append !== undefined : isStreamState(sidecar.stream));
    return isWhole ? sidecar : DAMAGED;
  } catch {
    return DAMAGED;
  }
}

function isAppendRecord(value: Partial<AppendRecord> | undefined): boolean {
  if (value === undefined) return true;
  const { session = '', attempt = 0, start, state, end = 0, finishedAt = 0, status = 0 } = value ?? {};
  const areSizes = [attempt, start, end, finishedAt].every(Number.isSafeInteger);
  return (
    areSizes &&
    isStatus(status) &&
    typeof session === 'string' &&
    ['open', 'finished', 'interrupted'].includes(String(state))
  );
}
