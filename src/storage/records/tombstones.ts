import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { moveAside, readDirectory } from '../own-directory.ts';
import { hasErrno, storageFailure } from '../storage-failure.ts';
import { Documents } from './document.ts';
import type { StreamLink } from './stream-state.ts';

/** What is left of a stream that was deleted while forks of it live. */
export interface Tombstone extends StreamLink {
  /** Its forks that live, or of which forks live. */
  forks: readonly StreamLink[];
  /** Where it was forked from itself. */
  origin?: StreamLink;
}

/** Tombstones, one small JSON document each, by path. */
export class Tombstones {
  readonly #directory: string;
  readonly #documents = new Documents();

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
    await this.#documents.write(this.#fileOf(tombstone.path), tombstone, options);
  }

  async remove(resourcePath: string): Promise<void> {
    await fs.promises.rm(this.#fileOf(resourcePath), { force: true });
  }

  /** Yields all, with their names, absolute; one that is damaged as undefined. */
  async *all(): AsyncGenerator<{ name: string; tombstone: Tombstone | undefined }, void, undefined> {
    for (const entry of await readDirectory(this.#directory)) {
      const name = path.join(this.#directory, entry);
      if (!entry.endsWith('.json')) continue;
      const text = await fs.promises.readFile(name, 'utf8').catch(ignoreNoEntry);
      if (text !== undefined) yield { name, tombstone: parse(text) };
    }
  }

  /** Moves one that is damaged to a directory, where an operator finds it. Returns its name there. */
  setAside(name: string, directory: string): Promise<string> {
    return moveAside(name, directory);
  }

  /** A path may be longer than a file's name. */
  #fileOf(resourcePath: string): string {
    return path.join(this.#directory, `${createHash('sha256').update(resourcePath).digest('hex')}.json`);
  }
}

function parse(text: string): Tombstone | undefined {
  try {
    const { path: resourcePath, fingerprint, forks } = JSON.parse(text);
    const isWhole =
      typeof resourcePath === 'string' && typeof fingerprint === 'string' && Array.isArray(forks);
    return isWhole ? JSON.parse(text) : undefined;
  } catch {
    return undefined;
  }
}

function ignoreNoEntry(error: unknown): undefined {
  if (!hasErrno(error, 'ENOENT')) throw storageFailure(error);
}
