import fs, { constants } from 'node:fs';
import path from 'node:path';
import * as fileIo from './file-io.ts';
import { decodeRecords, encodeRecord, type RedoRecord } from './redo-record.ts';
import { hasErrno, storageFailure } from './storage-failure.ts';

const DIRECTORY_MODE = 0o700;
const FILE_MODE = 0o600;
const SEGMENT_NAME = /^(\d{10})\.log$/;

interface Waiter {
  resolve: () => void;
  reject: (error: unknown) => void;
}

interface Segment {
  number: number;
  fd: number;
  /** How much of it is whole records. */
  size: number;
}

/** What a log of before holds. */
export interface Replay<Header> {
  records: AsyncIterable<RedoRecord<Header>>;
  /** Whether there is anything: the server before this one did not close. */
  isEmpty: boolean;
}

/**
 * A log shared by all streams, in which a change is written down before it is
 * made, so that all of it is made or nothing. Records that arrive while a write
 * is under way are written, and synced, together by the next one. It lies in
 * numbered segments, so that old ones can go while new ones are written.
 */
export class RedoLog<Header extends object> {
  readonly #directory: string;
  readonly #sync: ((fd: number) => Promise<void>) | undefined;
  #segment: Segment | undefined;
  #nextNumber = 1;
  #pending: Buffer[] = [];
  #waiters: Waiter[] = [];
  #flushing: Promise<void> | undefined;

  /**
   * @param directory absolute; made when the first record is written
   * @param sync makes an open file survive a loss of power; without it records survive a crash of this process
   */
  constructor(directory: string, sync?: (fd: number) => Promise<void>) {
    this.#directory = directory;
    this.#sync = sync;
  }

  /** Bytes that were written since the last {@link rotate}. */
  get size(): number {
    return this.#segment?.size ?? 0;
  }

  /** Finds what a server before this one has left. To be called first; {@link drop} all of it when it was made good. */
  async replay(): Promise<Replay<Header>> {
    const numbers = await this.#segments();
    this.#nextNumber = (numbers.at(-1) ?? 0) + 1;
    return { records: this.#read(numbers), isEmpty: numbers.length === 0 };
  }

  /**
   * Writes a record. Those of one caller keep their order.
   *
   * @returns a promise that resolves when it is safe; it rejects for all records
   * that wait when one cannot be written, and they are not in the log then
   */
  append(header: Header, payload: Buffer): Promise<void> {
    this.#pending.push(...encodeRecord(header, payload));
    const written = new Promise<void>((resolve, reject) => {
      this.#waiters.push({ resolve, reject });
    });
    this.#flushing ??= this.#flush();
    return written;
  }

  /**
   * Begins a new segment with the next record.
   *
   * @returns the number up to which segments may be dropped once all that is in them is made good
   */
  async rotate(): Promise<number> {
    await this.#flushing;
    const segment = this.#segment;
    this.#segment = undefined;
    if (segment !== undefined) await fileIo.close(segment.fd);
    return this.#nextNumber - 1;
  }

  /** Forgets the segments up to a number. */
  async drop(upTo: number): Promise<void> {
    for (const number of await this.#segments()) {
      if (number <= upTo) await fs.promises.rm(this.#fileOf(number), { force: true });
    }
  }

  async #flush(): Promise<void> {
    while (this.#pending.length > 0) {
      // What comes in the same turn of the event loop is written together.
      await new Promise<void>((resolve) => setImmediate(resolve));
      const buffers = this.#pending;
      const waiters = this.#waiters;
      this.#pending = [];
      this.#waiters = [];
      try {
        await this.#write(buffers);
        for (const { resolve } of waiters) resolve();
      } catch (error) {
        // Also those that came meanwhile: they may build on the ones that failed.
        const later = this.#waiters;
        this.#pending = [];
        this.#waiters = [];
        for (const { reject } of [...waiters, ...later]) reject(storageFailure(error));
      }
    }
    this.#flushing = undefined;
  }

  async #write(buffers: readonly Buffer[]): Promise<void> {
    this.#segment ??= await this.#begin();
    const segment = this.#segment;
    try {
      await fileIo.writeAll(segment.fd, buffers);
      await this.#sync?.(segment.fd);
      segment.size += buffers.reduce((bytes, buffer) => bytes + buffer.length, 0);
    } catch (error) {
      await this.#cutBack(segment);
      throw error;
    }
  }

  /** What follows a torn record could not be read, so a segment that cannot be cut is not written any more. */
  async #cutBack(segment: Segment): Promise<void> {
    try {
      await fileIo.ftruncate(segment.fd, segment.size);
      await this.#sync?.(segment.fd);
    } catch {
      this.#segment = undefined;
      await fileIo.close(segment.fd).catch(() => undefined);
    }
  }

  async #begin(): Promise<Segment> {
    await fileIo.makeDirectories(this.#directory, DIRECTORY_MODE);
    const number = this.#nextNumber++;
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_APPEND;
    const fd = await fileIo.open(this.#fileOf(number), flags, FILE_MODE);
    try {
      if (this.#sync !== undefined) {
        await fileIo.syncDirectories(this.#directory, path.dirname(path.dirname(this.#directory)));
      }
      return { number, fd, size: 0 };
    } catch (error) {
      await fileIo.close(fd);
      throw error;
    }
  }

  async *#read(numbers: readonly number[]): AsyncGenerator<RedoRecord<Header>, void, undefined> {
    for (const number of numbers) {
      yield* decodeRecords<Header>(await fs.promises.readFile(this.#fileOf(number)));
    }
  }

  async #segments(): Promise<number[]> {
    try {
      const names = await fs.promises.readdir(this.#directory);
      return names
        .flatMap((name) => SEGMENT_NAME.exec(name)?.[1] ?? [])
        .map(Number)
        .sort((a, b) => a - b);
    } catch (error) {
      if (hasErrno(error, 'ENOENT')) return [];
      throw storageFailure(error);
    }
  }

  #fileOf(number: number): string {
    return path.join(this.#directory, `${String(number).padStart(10, '0')}.log`);
  }
}
