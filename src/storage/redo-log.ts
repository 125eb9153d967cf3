import fs, { constants } from 'node:fs';
import path from 'node:path';
import { type HttpfstreamError, StorageBusyError, StorageError, StorageFullError } from '../errors.ts';
import { CommitThread, type WriteOutcome } from './commit-thread.ts';
import * as fileIo from './file-io.ts';
import { RedoBatch, type RedoWriter, type WaitingRecord } from './redo-batch.ts';
import { decodeRecords, encodeRecord, type RedoRecord } from './redo-record.ts';
import { hasErrno, storageFailure } from './storage-failure.ts';

const DIRECTORY_MODE = 0o700;
const FILE_MODE = 0o600;
const SEGMENT_NAME = /^(\d{10})\.log$/;

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
  readonly #isDurable: boolean;
  readonly #thread = new CommitThread();
  #segment: Segment | undefined;
  #nextNumber = 1;
  #waiting: WaitingRecord[] = [];
  #isFlushing = false;
  /** Those who wait for a new segment. */
  #rotations: ((upTo: number) => void)[] = [];

  /**
   * @param directory absolute; made when the first record is written
   * @param isDurable whether records are safe only when they survive a loss of power
   */
  constructor(directory: string, isDurable: boolean) {
    this.#directory = directory;
    this.#isDurable = isDurable;
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

  /** Takes a record, and tells its writer when it is safe. Those of one writer keep their order. */
  append(header: Header, payload: Buffer, writer: RedoWriter): void {
    this.#waiting.push({ writer, parts: encodeRecord(header, payload), hasPayload: payload.length > 0 });
    if (this.#isFlushing) return;
    this.#isFlushing = true;
    // What comes in the same turn of the event loop is written together.
    setImmediate(() => void this.#flush());
  }

  /** Drops what waits of a writer. */
  withdraw(writer: RedoWriter): void {
    this.#waiting = this.#waiting.filter((other) => other.writer !== writer);
  }

  /**
   * Begins a new segment with the next record.
   *
   * @returns the number up to which segments may be dropped once all that is in them is made good
   */
  rotate(): Promise<number> {
    return new Promise((resolve) => {
      this.#rotations.push(resolve);
      if (!this.#isFlushing) this.#letRotate();
    });
  }

  /** Lets its thread go, when nothing is to be appended any more. */
  async close(): Promise<void> {
    await this.#thread.close();
  }

  /** Forgets the segments up to a number. */
  async drop(upTo: number): Promise<void> {
    for (const number of await this.#segments()) {
      if (number <= upTo) await fs.promises.rm(this.#fileOf(number), { force: true });
    }
  }

  /** Never rejects. */
  async #flush(): Promise<void> {
    while (this.#waiting.length > 0) {
      const waiting = this.#waiting;
      this.#waiting = [];
      const batch = new RedoBatch(waiting);
      try {
        batch.tell(await this.#commit(batch));
      } catch (error) {
        // Also those that came meanwhile: they may build on the ones that failed.
        const writers = new Set([...waiting, ...this.#waiting.splice(0)].map(({ writer }) => writer));
        const failure = redoFailure(error);
        for (const writer of writers) writer.refused(failure, this.#segment !== undefined);
      }
      this.#letRotate();
    }
    this.#isFlushing = false;
    this.#letRotate();
  }

  /** Between two batches no segment is being written. */
  #letRotate(): void {
    const rotations = this.#rotations.splice(0);
    if (rotations.length === 0) return;
    // One without records goes on.
    const isEmpty = this.#segment?.size === 0;
    const segment = isEmpty ? undefined : this.#segment;
    if (!isEmpty) this.#segment = undefined;
    const upTo = this.#nextNumber - (isEmpty ? 2 : 1);
    // A close that fails has lost nothing: what was written was synced, or need not be.
    const closed =
      segment === undefined ? Promise.resolve() : fileIo.close(segment.fd).catch(() => undefined);
    void closed.then(() => {
      for (const resolve of rotations) resolve(upTo);
    });
  }

  async #commit(batch: RedoBatch): Promise<WriteOutcome[]> {
    this.#segment ??= await this.#begin();
    const segment = this.#segment;
    try {
      const { bytes, writes } = batch;
      const size = segment.size + bytes.length;
      const outcomes = await this.#thread.commit({
        log: segment.fd,
        batch: bytes,
        isDurable: this.#isDurable,
        writes,
      });
      segment.size = size;
      return outcomes;
    } catch (error) {
      await this.#cutBack(segment);
      throw error;
    }
  }

  /** What follows a torn record could not be read, so a segment that cannot be cut is not written any more. */
  async #cutBack(segment: Segment): Promise<void> {
    try {
      await fileIo.ftruncate(segment.fd, segment.size);
      if (this.#isDurable) await fileIo.fdatasync(segment.fd);
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
      if (this.#isDurable) {
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

/** A full disk is for the client to know; what else is wrong with the server's own files is not its path's fault. */
function redoFailure(error: unknown): HttpfstreamError {
  const failure = storageFailure(error);
  if (failure instanceof StorageFullError || failure instanceof StorageBusyError) return failure;
  return new StorageError("the server's redo log cannot be written", { cause: error });
}
