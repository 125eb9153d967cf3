import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { StorageFullError } from '../../wire/errors.ts';
import { readDirectory } from '../root/own-directory.ts';
import { askFreeSpace, type FreeSpace, type Reserve } from './reserve.ts';

/**
 * Less space than this on the disk, beside what is written, and a database might not come back from a write that
 * failed.
 */
const SPARE_BYTES = 64 * 1024;

/** The same of files: a log, a manifest, what says which manifest it is, and what was in the log before. */
const SPARE_FILES = 8;

/** What refuses a write while the disk has more space than this is a quota. */
const AMPLE_BYTES = 8 * 1024 * 1024;

/** How much space is kept then: whoever tries to take more might be in the way of others who write. */
const RATION_BYTES = 1024 * 1024;

/** A look that finds so much space, and space for so many files, is good for a moment: nobody fills that meanwhile. */
const PLENTY_BYTES = 1024 * 1024 * 1024;
const PLENTY_FILES = 10_000;
const PLENTY_FOR_MS = 100;

/** For so long a disk is waited for that is asked how much of it is free: what is written to it says more. */
const MAX_LOOK_MS = 1000;

/** Time after a write, when no space is kept any more, after which it is tried to keep some. */
const RESERVE_DELAY_MS = 1000;

/**
 * The space on the disk that a LevelDB needs: after a write that failed it has to be opened anew, which needs as much
 * as is in its log. While some is kept, that is sure.
 */
export class StoreSpace {
  readonly #directory: string;
  readonly #reserve: Reserve;
  readonly #maxLogBytes: number;
  /** Bytes that may be in its log. */
  #loggedBytes = 0;
  /** Whether the disk has refused what it seems to have space for, as it does when a quota is used up. */
  #isRationed = false;
  /** What was found last, if anything. */
  #free: FreeSpace | undefined;
  /** Until when a look is good that has found plenty. */
  #plentyUntilMs = 0;
  /** The look under way: a disk that does not answer gets no second question. */
  #asking: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = true;

  /**
   * @param directory of the database, absolute
   * @param maxLogBytes how large its log becomes at most
   */
  constructor(directory: string, reserve: Reserve, maxLogBytes: number) {
    this.#directory = directory;
    this.#reserve = reserve;
    this.#maxLogBytes = maxLogBytes;
  }

  /** Finds what is kept. To be called first. */
  async open(): Promise<void> {
    await this.#reserve.find();
    this.#isClosed = false;
  }

  /** Keeps no more space than there is. Idempotent. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** Notes that the database is about to be opened: what is in its log is read again. */
  async opening(): Promise<void> {
    this.#loggedBytes = await logBytes(this.#directory);
  }

  /** Notes that it is open. */
  opened(): void {
    this.#loggedBytes = 0;
  }

  /** Notes that so much is about to be written. */
  logged(bytes: number): void {
    this.#loggedBytes = Math.min(this.#loggedBytes + bytes, this.#maxLogBytes);
  }

  /** Whether the disk had no space but what is kept at the last {@link look}. */
  get isFull(): boolean {
    return this.#isLacking(0);
  }

  /** Looks how much space the disk has. Never rejects, and waits for it for a second at most. */
  async look(): Promise<void> {
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined;
    });
    const aborter = new AbortController();
    const waited = delay(MAX_LOOK_MS, undefined, { signal: aborter.signal, ref: false }).catch(
      () => undefined,
    );
    await Promise.race([this.#asking, waited]);
    aborter.abort();
  }

  /** Where no space is kept, what may not fit is refused before it is tried. */
  async assertFor(bytes: number): Promise<void> {
    if (this.#reserve.isThere) return;
    await this.look();
    if (this.#isLacking(bytes)) throw diskFull();
  }

  /** @throws {StorageFullError} when the disk has no space but what is kept for what is under way */
  async assertForNew(): Promise<void> {
    if (performance.now() >= this.#plentyUntilMs) {
      await this.look();
      if (this.isFull) throw diskFull();
    }
    await this.#assertNoQuota();
  }

  /** @throws {StorageFullError} when there may not be the space to open the database anew */
  async assertForOpening(): Promise<void> {
    await this.assertFor(0);
    await this.#assertNoQuota();
  }

  /**
   * Gives up what is kept, since the disk has refused a write. Never rejects.
   *
   * @returns whether there was any
   */
  async release(): Promise<boolean> {
    await this.look();
    this.#isRationed = !this.#isLacking(AMPLE_BYTES);
    this.#plentyUntilMs = 0;
    return this.#reserve.release();
  }

  /** Keeps space, if there is enough. Never rejects. */
  async keep(): Promise<void> {
    await this.#reserve.make(this.#isRationed ? RATION_BYTES : undefined);
    if (this.#reserve.isThere) this.#isRationed = false;
  }

  /** As {@link keep}, soon. */
  keepSoon(): void {
    if (this.#reserve.isThere || this.#timer !== undefined || this.#isClosed) return;
    this.#timer = setTimeout(() => {
      void this.keep().then(() => {
        this.#timer = undefined;
      });
    }, RESERVE_DELAY_MS).unref();
  }

  async #ask(): Promise<void> {
    this.#free = await askFreeSpace(this.#directory).catch(() => undefined);
    const { bytes = 0, files = 0 } = this.#free ?? {};
    const isPlenty = bytes >= PLENTY_BYTES && files >= PLENTY_FILES;
    this.#plentyUntilMs = isPlenty ? performance.now() + PLENTY_FOR_MS : 0;
  }

  /** Whether the disk lacked the space to write so much, and to open the database after that. */
  #isLacking(bytes: number): boolean {
    if (this.#free === undefined) return false;
    return this.#free.bytes < SPARE_BYTES + bytes + this.#loggedBytes || this.#free.files < SPARE_FILES;
  }

  /** Whether there is space again behind a quota shows when some can be kept. */
  async #assertNoQuota(): Promise<void> {
    if (!this.#isRationed) return;
    await this.keep();
    if (this.#isRationed) throw diskFull();
  }
}

async function logBytes(directory: string): Promise<number> {
  let bytes = 0;
  for (const name of await readDirectory(directory)) {
    if (name.endsWith('.log')) bytes += (await fs.promises.stat(path.join(directory, name))).size;
  }
  return bytes;
}

function diskFull(): StorageFullError {
  return new StorageFullError("the server's disk is full");
}
