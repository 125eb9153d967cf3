import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { makeDirectories } from './file-io.ts';
import { OWN_DIRECTORY_MODE, OWN_FILE_MODE } from './own-directory.ts';

/** How much room is kept at most, … */
const MAX_BYTES = 4 * 1024 * 1024;

/** … and at least: less is of no use. */
const MIN_BYTES = 256 * 1024;

/** What part of the free room is kept, if that is less. */
const SHARE = 1 / 8;

const BLOCK_BYTES = 256 * 1024;

/**
 * Room on the disk that is kept for what must be written when nothing else can be: a file, which is given up
 * when the disk is full, and made anew when there is room again.
 */
export class Reserve {
  readonly #name: string;
  #making: Promise<void> | undefined;
  #isThere = false;

  /** @param name of the file, absolute; its directory is made if it is missing */
  constructor(name: string) {
    this.#name = name;
  }

  /** Whether there is room that can be given up. */
  get isThere(): boolean {
    return this.#isThere;
  }

  /** Finds what a server before this one has kept. Never rejects. */
  async find(): Promise<void> {
    const size = await fs.promises.stat(this.#name).then(
      (stat) => stat.size,
      () => 0,
    );
    this.#isThere = size >= MIN_BYTES;
  }

  /** Keeps room, if there is enough. Never rejects: without it a full disk refuses more. */
  make(): Promise<void> {
    this.#making ??= this.#make()
      .catch(async () => {
        await this.#remove();
      })
      .finally(() => {
        this.#making = undefined;
      });
    return this.#making;
  }

  /**
   * Gives the room up. Never rejects.
   *
   * @returns whether there was any
   */
  async release(): Promise<boolean> {
    await this.#making;
    this.#isThere = false;
    return this.#remove();
  }

  async #make(): Promise<void> {
    if (this.#isThere) return;
    const directory = path.dirname(this.#name);
    await makeDirectories(directory, OWN_DIRECTORY_MODE);
    const bytes = Math.min(MAX_BYTES, freeBytes(directory) * SHARE);
    if (bytes < MIN_BYTES) return;
    // Not zeros, which some file systems do not store.
    const block = randomBytes(BLOCK_BYTES);
    const handle = await fs.promises.open(this.#name, 'w', OWN_FILE_MODE);
    try {
      for (let done = 0; done < bytes; done += BLOCK_BYTES) await handle.writeFile(block);
    } finally {
      await handle.close();
    }
    this.#isThere = true;
  }

  /** @returns whether it was there */
  async #remove(): Promise<boolean> {
    return fs.promises.unlink(this.#name).then(
      () => true,
      () => false,
    );
  }
}

/** How much a program may still write to the file system of a directory, in bytes. */
export function freeBytes(directory: string): number {
  const { bavail, bsize } = fs.statfsSync(directory);
  return bavail * bsize;
}
