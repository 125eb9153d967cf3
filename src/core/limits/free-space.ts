import { askFreeSpace, type FreeSpace, freeSpace } from '../../storage/records/reserve.ts';
import { StorageFullError } from '../../wire/errors.ts';

export type { FreeSpace };

/** How many bytes are written between two looks at most, … */
const LOOK_BYTES = 16 * 1024 * 1024;

/** … and how much time passes while anything is. */
const LOOK_MS = 1000;

/** What stays free by default, … */
const DEFAULT_BYTES = 256 * 1024 * 1024;
const DEFAULT_FILES = 1000;

/** … or this part of the disk, if that is less. */
const DEFAULT_SHARE = 0.05;

/** What is to stay free; undefined: 256 MiB and 1,000 files, or a twentieth of the disk, if that is less. */
export interface MinFree {
  bytes: number | undefined;
  files: number | undefined;
}

/** What is watched, and who is notified. */
export interface FreeSpaceOptions {
  /** A directory on the disk, absolute. */
  directory: string;
  minFree: MinFree;
  /** Called when less than half of it is free: what lives has to end, too. */
  exhausted: (error: StorageFullError) => void;
  /** What is free. Default: what the system says. */
  look?: (directory: string) => FreeSpace;
  /** The same, without waiting for the disk. */
  ask?: (directory: string) => Promise<FreeSpace>;
}

/**
 * Keeps a part of the disk free, in two steps: below it nothing new begins, and what lives goes on; below half of it
 * that ends, too. It looks while something is written, and when something new is to begin, and never otherwise.
 *
 * What begins is looked up in line, and so is what is free for it. What is written a disk that does not answer holds up
 * by itself, and nothing else: after it the system is asked by a thread.
 */
export class FreeSpaceWatch {
  /** What is to stay free. */
  minFree: MinFree;
  readonly #options: Required<FreeSpaceOptions>;
  /** What was found last, and when; undefined when the system does not tell. */
  #free: FreeSpace | undefined;
  #lookedMs = Number.NEGATIVE_INFINITY;
  #written = 0;
  #timer: NodeJS.Timeout | undefined;
  #isAsking = false;
  #isClosed = false;

  constructor(options: FreeSpaceOptions) {
    this.#options = { look: freeSpace, ask: askFreeSpace, ...options };
    this.minFree = options.minFree;
  }

  /**
   * To be called before anything new begins.
   *
   * @throws {StorageFullError} when too little is free
   */
  assertForNew(): void {
    const shortage = this.shortage();
    if (shortage !== undefined) throw shortage;
  }

  /** What keeps anything new from beginning. */
  shortage(): StorageFullError | undefined {
    // It is over as soon as there is room again.
    if (performance.now() - this.#lookedMs >= LOOK_MS || this.#shortage(1) !== undefined) this.#look();
    return this.#shortage(1);
  }

  /**
   * To be called before more is written of what has begun.
   *
   * @throws {StorageFullError} when even less is free
   */
  assertForMore(): void {
    const shortage = this.#shortage(1 / 2);
    if (shortage !== undefined) throw shortage;
  }

  /**
   * Asks what is free, without waiting for the disk.
   *
   * @throws what the system does
   */
  ask(): Promise<FreeSpace> {
    return this.#options.ask(this.#options.directory);
  }

  /** Counts what was written. */
  written(bytes: number): void {
    this.#written += bytes;
    // A disk that does not answer gets no second question.
    if (this.#isAsking || this.#isClosed) return;
    if (this.#written >= LOOK_BYTES) void this.#lookAfterWrite();
    else this.#timer ??= setTimeout(() => void this.#lookAfterWrite(), LOOK_MS).unref();
  }

  /** Looks no more. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }

  async #lookAfterWrite(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#isAsking = true;
    this.#begin();
    this.#free = await this.ask().catch(() => undefined);
    this.#isAsking = false;
    if (this.#isClosed) return;
    // What has come meanwhile is looked at, too.
    if (this.#written > 0) this.written(0);
    const shortage = this.#shortage(1 / 2);
    if (shortage !== undefined) this.#options.exhausted(shortage);
  }

  #look(): void {
    const { look, directory } = this.#options;
    this.#begin();
    try {
      this.#free = look(directory);
    } catch {
      // Whoever writes is told what is wrong with the disk.
      this.#free = undefined;
    }
  }

  #begin(): void {
    this.#written = 0;
    this.#lookedMs = performance.now();
  }

  /** @param part of what is to stay free */
  #shortage(part: number): StorageFullError | undefined {
    return this.#free && this.shortageIn(this.#free, part);
  }

  /**
   * What keeps anything new from beginning where so much is free.
   *
   * @param part of what is to stay free, for what has begun
   */
  shortageIn(free: FreeSpace, part = 1): StorageFullError | undefined {
    const { bytes, files } = minFreeOf(free, this.minFree);
    if (free.bytes < bytes * part) {
      return new StorageFullError("the server's disk is nearly full: it has hardly any bytes left");
    }
    if (free.files < files * part) {
      return new StorageFullError(
        "the server's disk is nearly full: it has hardly any room for files left (inodes)",
      );
    }
    return undefined;
  }
}

function minFreeOf(
  { totalBytes, totalFiles }: FreeSpace,
  { bytes, files }: MinFree,
): { bytes: number; files: number } {
  return {
    bytes: bytes ?? Math.min(DEFAULT_BYTES, totalBytes * DEFAULT_SHARE),
    files: files ?? Math.min(DEFAULT_FILES, totalFiles * DEFAULT_SHARE),
  };
}
