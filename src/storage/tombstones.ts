import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { writeDocument } from './document.ts';
import { hasErrno, storageFailure } from './storage-failure.ts';

/** What is left of a stream that was deleted while forks of it live. */
export interface Tombstone {
  /** Path as in its URL, decoded. */
  path: string;
  /** Fingerprint that its file had. */
  fingerprint: string;
  /** Fingerprints of its forks that live. */
  forks: readonly string[];
  /** Where it was forked from itself. */
  origin?: { path: string; fingerprint: string };
}

/** Tombstones, one small JSON document each, by path. */
export class Tombstones {
  readonly #directory: string;

  /** @param directory absolute; made when the first one is written */
  constructor(directory: string) {
    this.#directory = directory;
  }

  /** The tombstone at a path, if there is one. */
  async read(resourcePath: string): Promise<Tombstone | undefined> {
    try {
      return JSON.parse(await fs.promises.readFile(this.#fileOf(resourcePath), 'utf8'));
    } catch (error) {
      if (hasErrno(error, 'ENOENT')) return undefined;
      throw storageFailure(error);
    }
  }

  /** @param options.durable whether it must survive a loss of power when this resolves */
  async write(tombstone: Tombstone, options: { durable: boolean }): Promise<void> {
    await writeDocument(this.#fileOf(tombstone.path), tombstone, options);
  }

  async remove(resourcePath: string): Promise<void> {
    await fs.promises.rm(this.#fileOf(resourcePath), { force: true });
  }

  /** A path may be longer than a file's name. */
  #fileOf(resourcePath: string): string {
    return path.join(this.#directory, `${createHash('sha256').update(resourcePath).digest('hex')}.json`);
  }
}
