import fs from 'node:fs';
import path from 'node:path';
import { readDirectory } from '../own-directory.ts';
import { hasErrno, storageFailure } from '../storage-failure.ts';
import { Documents } from './document.ts';

const SUFFIX = '.json';

/** What a file system can date is at least this: 2038. Later ones are looked at again then. */
const MAX_SECONDS = 2 ** 31 - 1;

/** A stream that ends to live by itself. */
export interface ExpiringStream {
  /** Fingerprint of its file. */
  fingerprint: string;
  /** Its path as in its URL, decoded, when it was made. */
  path: string;
}

/**
 * Which streams end to live by themselves: a small document for each, dated with
 * the time before which nobody needs to look at it.
 */
export class ExpiryIndex {
  readonly #directory: string;
  readonly #documents = new Documents();
  /** Where the next look begins. */
  #cursor: fs.Dir | undefined;

  /** @param directory absolute; made when the first document is written */
  constructor(directory: string) {
    this.#directory = directory;
  }

  /** @param dueMs before which it does not expire, in milliseconds since 1970 */
  async add({ fingerprint, path: resourcePath }: ExpiringStream, dueMs: number): Promise<void> {
    const document = { path: resourcePath };
    await this.#documents.write(this.#fileOf(fingerprint), document, {
      durable: false,
      mtimeMs: clamp(dueMs),
    });
  }

  /** @param dueMs as of {@link add} */
  async postpone(fingerprint: string, dueMs: number): Promise<void> {
    try {
      const seconds = clamp(dueMs) / 1000;
      await fs.promises.utimes(this.#fileOf(fingerprint), seconds, seconds);
    } catch (error) {
      // Deleted meanwhile.
      if (!hasErrno(error, 'ENOENT')) throw storageFailure(error);
    }
  }

  async remove(fingerprint: string): Promise<void> {
    await fs.promises.rm(this.#fileOf(fingerprint), { force: true });
  }

  async has(fingerprint: string): Promise<boolean> {
    const name = this.#fileOf(fingerprint);
    return (await fs.promises.stat(name).catch(() => undefined)) !== undefined;
  }

  /**
   * Looks at the next `count` of all, beginning anew after the last.
   *
   * @returns those that are due
   */
  async next(count: number): Promise<ExpiringStream[]> {
    const due: ExpiringStream[] = [];
    this.#cursor ??= await openDirectory(this.#directory);
    for (let looks = 0; looks < count && this.#cursor !== undefined; looks++) {
      const entry = await this.#cursor.read();
      if (entry === null) await this.close();
      else if (entry.name.endsWith(SUFFIX)) {
        const found = await this.#readIfDue(path.basename(entry.name, SUFFIX));
        if (found !== undefined) due.push(found);
      }
    }
    return due;
  }

  /** Yields the fingerprints of all. */
  async *fingerprints(): AsyncGenerator<string, void, undefined> {
    for (const entry of await readDirectory(this.#directory)) {
      if (entry.endsWith(SUFFIX)) yield path.basename(entry, SUFFIX);
    }
  }

  /** Lets the directory go. */
  async close(): Promise<void> {
    const cursor = this.#cursor;
    this.#cursor = undefined;
    await cursor?.close();
  }

  async #readIfDue(fingerprint: string): Promise<ExpiringStream | undefined> {
    const name = this.#fileOf(fingerprint);
    try {
      if ((await fs.promises.stat(name)).mtimeMs > Date.now()) return undefined;
      const { path: resourcePath } = JSON.parse(await fs.promises.readFile(name, 'utf8'));
      if (typeof resourcePath === 'string') return { fingerprint, path: resourcePath };
    } catch (error) {
      if (hasErrno(error, 'ENOENT')) return undefined;
      if (!(error instanceof SyntaxError)) throw storageFailure(error);
    }
    // Damaged: whoever asks for the stream finds that it has expired.
    await this.remove(fingerprint);
    return undefined;
  }

  #fileOf(fingerprint: string): string {
    return path.join(this.#directory, `${fingerprint}${SUFFIX}`);
  }
}

async function openDirectory(directory: string): Promise<fs.Dir | undefined> {
  try {
    return await fs.promises.opendir(directory);
  } catch (error) {
    if (hasErrno(error, 'ENOENT')) return undefined;
    throw storageFailure(error);
  }
}

function clamp(dueMs: number): number {
  return Math.min(dueMs, MAX_SECONDS * 1000);
}
