import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import type { HttpfstreamError } from '../../wire/errors.ts';
import { makeDirectories, syncDirectories } from '../file-io.ts';
import { OWN_DIRECTORY_MODE, OWN_FILE_MODE, readDirectory } from '../root/own-directory.ts';
import { storageFailure } from '../storage-failure.ts';
import { encodeEntry, type JournalEntry } from './entry.ts';
import { type DamageListener, entriesOf } from './segments.ts';

const SUFFIX = '.log';
/** Bytes that are gathered before they are written. */
const WRITE_BYTES = 1024 * 1024;

/**
 * Journals of single files: what the journal of all has of a file that cannot be brought
 * up to date, so that the others need not wait for it.
 */
export class Quarantine<Header extends { file: string }> {
  readonly #directory: string;
  readonly #files = new Set<string>();
  /** Why some are in it without a journal of their own. */
  readonly #withoutJournal = new Map<string, HttpfstreamError>();

  /** @param directory absolute; made when the first journal is written */
  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Finds those of a server before this one. To be called first. */
  async load(): Promise<void> {
    for (const entry of await readDirectory(this.#directory)) {
      if (entry.endsWith(SUFFIX)) this.#files.add(path.basename(entry, SUFFIX));
      else await fs.promises.rm(path.join(this.#directory, entry), { force: true });
    }
  }

  /** Fingerprints of the files of which it has a journal. */
  get files(): ReadonlySet<string> {
    return this.#files;
  }

  /** Whether no file is in it. */
  get isEmpty(): boolean {
    return this.#files.size + this.#withoutJournal.size === 0;
  }

  /** Whether a file is in it. */
  has(file: string): boolean {
    return this.#files.has(file) || this.#withoutJournal.has(file);
  }

  /** What {@link addWithoutJournal} was given for a file. */
  causeOf(file: string): HttpfstreamError | undefined {
    return this.#withoutJournal.get(file);
  }

  /**
   * Puts a file into it until this process ends, without a journal, for which there is no room: the journal of all is
   * to be kept.
   */
  addWithoutJournal(file: string, cause: HttpfstreamError): void {
    this.#withoutJournal.set(file, cause);
  }

  /** Yields the entries of a file that is in it, in order. */
  entries(file: string): AsyncIterable<JournalEntry<Header>> {
    return entriesOf<Header>(this.#nameOf(file));
  }

  /**
   * Yields all entries, those of each file in order.
   *
   * @param damaged called for each journal that is damaged
   */
  async *all(damaged?: DamageListener): AsyncGenerator<JournalEntry<Header>, void, undefined> {
    for (const file of this.#files) {
      const name = this.#nameOf(file);
      yield* entriesOf<Header>(name, undefined, damaged && ((position) => damaged(name, position)));
    }
  }

  /**
   * Puts files into it, and what it does not have yet of their entries. It
   * survives a loss of power when this resolves.
   *
   * @param entries of any files
   */
  async add(files: ReadonlySet<string>, entries: AsyncIterable<JournalEntry<Header>>): Promise<void> {
    const journals = new Map<string, JournalFile>();
    try {
      await makeDirectories(this.#directory, OWN_DIRECTORY_MODE);
      for (const file of files) journals.set(file, await JournalFile.create(this.#temporaryName()));
      for (const [file, journal] of journals) {
        if (!this.#files.has(file)) continue;
        for await (const entry of this.entries(file)) await journal.append(entry);
      }
      for await (const entry of entries) await journals.get(entry.header.file)?.append(entry);
      for (const [file, journal] of journals) await journal.publish(this.#nameOf(file));
      await syncDirectories(this.#directory, path.dirname(path.dirname(this.#directory)));
      for (const file of files) this.#files.add(file);
    } catch (error) {
      for (const journal of journals.values()) await journal.discard();
      throw storageFailure(error);
    }
  }

  /** Lets a file go, also after a loss of power: what is appended to it from now on has the same versions. */
  async remove(file: string): Promise<void> {
    if (!this.#files.has(file)) return;
    await fs.promises.rm(this.#nameOf(file), { force: true });
    await syncDirectories(this.#directory, this.#directory);
    this.#files.delete(file);
  }

  #nameOf(file: string): string {
    return path.join(this.#directory, `${file}${SUFFIX}`);
  }

  #temporaryName(): string {
    return path.join(this.#directory, `${randomBytes(6).toString('hex')}.tmp`);
  }
}

/** A journal that is being written, and appears when it is whole. */
class JournalFile {
  readonly #name: string;
  readonly #handle: fs.promises.FileHandle;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;

  private constructor(name: string, handle: fs.promises.FileHandle) {
    this.#name = name;
    this.#handle = handle;
  }

  static async create(name: string): Promise<JournalFile> {
    return new JournalFile(name, await fs.promises.open(name, 'wx', OWN_FILE_MODE));
  }

  async append({ header, payload }: JournalEntry<object>): Promise<void> {
    // Copied: the payload holds a whole block of what it was read from.
    const bytes = Buffer.concat(encodeEntry(header, [payload]));
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    if (this.#waitingBytes >= WRITE_BYTES) await this.#flush();
  }

  async publish(target: string): Promise<void> {
    await this.#flush();
    await this.#handle.sync();
    await this.#handle.close();
    await fs.promises.rename(this.#name, target);
  }

  /** Never rejects. */
  async discard(): Promise<void> {
    await this.#handle.close().catch(() => undefined);
    await fs.promises.rm(this.#name, { force: true }).catch(() => undefined);
  }

  async #flush(): Promise<void> {
    const bytes = Buffer.concat(this.#waiting);
    this.#waiting = [];
    this.#waitingBytes = 0;
    await this.#handle.appendFile(bytes);
  }
}
