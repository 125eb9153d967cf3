import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { makeDirectories } from '../file-io.ts';
import { OWN_DIRECTORY_MODE, OWN_FILE_MODE } from '../root/own-directory.ts';

/** How much space is kept at most, … */
const MAX_BYTES = 4 * 1024 * 1024;

/** … and at least: less is of no use. */
const MIN_BYTES = 256 * 1024;

/** What part of the free space is kept, if that is less. */
const SHARE = 1 / 8;

/** In how many files, since a disk may have space for bytes, and for no more files. */
const FILES = 16;

/**
 * Space on the disk that is kept for what must be written when nothing else can be: files in a directory, which are
 * given up when the disk is full, and made anew when there is space again.
 */
export class Reserve {
  readonly #directory: string;
  #making: Promise<void> | undefined;
  #isThere = false;

  /** @param directory for it alone, absolute; made if it is missing */
  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Whether there is space that can be given up. */
  get isThere(): boolean {
    return this.#isThere;
  }

  /** Finds what a server before this one has kept. Never rejects. */
  async find(): Promise<void> {
    const sizes = this.#names().map((name) =>
      fs.promises.stat(name).then(
        ({ size }) => size,
        () => 0,
      ),
    );
    this.#isThere = Math.min(...(await Promise.all(sizes))) >= MIN_BYTES / FILES;
  }

  /**
   * Keeps space, if there is enough. Never rejects: without it a full disk refuses more.
   *
   * @param maxBytes how much at most
   */
  make(maxBytes = MAX_BYTES): Promise<void> {
    this.#making ??= this.#make(maxBytes)
      .catch(async () => {
        await this.#remove();
      })
      .finally(() => {
        this.#making = undefined;
      });
    return this.#making;
  }

  /**
   * Gives the space up. Never rejects.
   *
   * @returns whether there was any
   */
  async release(): Promise<boolean> {
    await this.#making;
    this.#isThere = false;
    return this.#remove();
  }

  async #make(maxBytes: number): Promise<void> {
    if (this.#isThere) return;
    await makeDirectories(path.dirname(this.#directory), OWN_DIRECTORY_MODE);
    const { bytes } = await askFreeSpace(path.dirname(this.#directory));
    const each = Math.floor(Math.min(maxBytes, bytes * SHARE) / FILES);
    if (each < MIN_BYTES / FILES) return;
    // What was not finished, or was one file.
    await this.#remove();
    await makeDirectories(this.#directory, OWN_DIRECTORY_MODE);
    // Not zeros, which some file systems do not store.
    const block = randomBytes(each);
    for (const name of this.#names()) {
      const handle = await fs.promises.open(name, 'wx', OWN_FILE_MODE);
      await handle.writeFile(block).finally(() => handle.close());
    }
    this.#isThere = true;
  }

  /** @returns whether it was there */
  async #remove(): Promise<boolean> {
    return fs.promises.rm(this.#directory, { recursive: true }).then(
      () => true,
      () => false,
    );
  }

  #names(): string[] {
    return Array.from({ length: FILES }, (_, i) => path.join(this.#directory, String(i)));
  }
}

/** What a program may still write to a file system. */
export interface FreeSpace {
  bytes: number;
  /** How many files may still be made. */
  files: number;
  /** Of how many bytes … */
  totalBytes: number;
  /** … and files. */
  totalFiles: number;
}

/** The space on the file system of a directory. A quota is not seen. */
export function freeSpace(directory: string): FreeSpace {
  return spaceIn(fs.statfsSync(directory));
}

/** As {@link freeSpace}, for whoever must not wait for the disk. */
export async function askFreeSpace(directory: string): Promise<FreeSpace> {
  return spaceIn(await fs.promises.statfs(directory));
}

function spaceIn({ bavail, bsize, blocks, files, ffree }: fs.StatsFs): FreeSpace {
  // Some make inodes as they need them, and count none.
  const [freeFiles, totalFiles] = files === 0 ? [Number.POSITIVE_INFINITY, 0] : [ffree, files];
  return { bytes: bavail * bsize, files: freeFiles, totalBytes: blocks * bsize, totalFiles };
}
