import fs from 'node:fs';
import path from 'node:path';
import {
  type HttpfstreamError,
  StorageBusyError,
  StorageError,
  StorageFullError,
} from '../../wire/errors.ts';
import * as fileIo from '../file-io.ts';
import { OWN_DIRECTORY_MODE } from '../root/own-directory.ts';
import { storageFailure } from '../storage-failure.ts';
import type { TurnWriter, WriteTurns } from '../write-turns.ts';
import { Batch, type BatchPlace, type JournalWriter, type WaitingEntry } from './batch.ts';
import { encodeEntry, type JournalEntry } from './entry.ts';
import { type DamageListener, entriesOf, Segments } from './segments.ts';

interface Segment {
  number: number;
  fd: number;
  /** How much of it is whole entries. */
  size: number;
}

/** Where it is counted how long syncs take, in milliseconds. */
export interface SyncNumbers {
  observe(ms: number): void;
}

/** What the server before this one has left. */
export interface Replay<Header> {
  /** How many bytes; 0 when the server before this one has closed. */
  size: number;
  /**
   * Yields all entries, from the beginning each time.
   *
   * @param progressed called with how many more bytes were read
   * @param damaged called for each segment that is damaged. Default: nobody is told
   */
  entries: (
    progressed: (bytes: number) => void,
    damaged?: DamageListener,
  ) => AsyncIterable<JournalEntry<Header>>;
}

/**
 * The log shared by all files, in which a change is written down before it is
 * made, so that all of it is made or nothing. Entries that come in one turn of the event loop, or
 * while others are synced, are written, and synced, together. It lies in
 * numbered segments, so that old ones can go while new ones are written.
 */
export class Journal<Header extends object> implements TurnWriter {
  readonly #segments: Segments;
  /** Whether what it has survives a loss of power. */
  readonly isDurable: boolean;
  readonly #turns: WriteTurns;
  readonly #syncs: SyncNumbers | undefined;
  #segment: Segment | undefined;
  #nextNumber = 1;
  /** Number of the first segment that is its own; those before are for {@link replay}. */
  #firstNumber = Number.POSITIVE_INFINITY;
  /** Sizes of the journal's own segments that are not written any more, by number. */
  readonly #ended = new Map<number, number>();
  #waiting: WaitingEntry[] = [];
  #isFlushing = false;
  /** Those who wait for a new segment. */
  #rotations: ((upTo: number) => void)[] = [];

  /**
   * @param directory absolute; made when the first entry is written
   * @param turns at whose ends it is written
   * @param isDurable whether entries are safe only when they survive a loss of power
   * @param syncs where its syncs are counted. Default: nowhere
   */
  constructor(directory: string, turns: WriteTurns, isDurable: boolean, syncs?: SyncNumbers) {
    this.#turns = turns;
    this.#syncs = syncs;
    this.#segments = new Segments(directory);
    this.isDurable = isDurable;
  }

  /** Bytes that were written since the last {@link rotate}. */
  get size(): number {
    return this.#segment?.size ?? 0;
  }

  /** Bytes that were written and not dropped. */
  get heldSize(): number {
    let bytes = this.size;
    for (const size of this.#ended.values()) bytes += size;
    return bytes;
  }

  /**
   * Finds what a server before this one has left. To be called first; {@link dropReplayed} when all of it was
   * replayed.
   */
  async replay(): Promise<Replay<Header>> {
    const numbers = await this.#segments.numbers();
    this.#nextNumber = (numbers.at(-1) ?? 0) + 1;
    this.#firstNumber = this.#nextNumber;
    return {
      size: await this.#segments.size(numbers),
      entries: (progressed, damaged) => this.#segments.entries(numbers, progressed, damaged),
    };
  }

  /** Forgets what {@link replay} has found. */
  async dropReplayed(): Promise<void> {
    await this.#segments.remove(await this.#replayed(), this.isDurable);
  }

  /**
   * Forgets some of the entries that {@link replay} has found: no start makes them good any more, see
   * {@link Segments.annul}.
   */
  async annulReplayed(isMoot: (header: Header) => boolean): Promise<void> {
    for (const number of await this.#replayed()) {
      const positions: number[] = [];
      let isWanted = false;
      for await (const { header, position } of entriesOf<Header>(this.#segments.nameOf(number))) {
        if (isMoot(header)) positions.push(position);
        else isWanted = true;
      }
      if (isWanted) await this.#segments.annul(number, positions, this.isDurable);
      else await this.#segments.remove([number], this.isDurable);
    }
  }

  /** Takes an entry, and notifies its writer when it is safe. Those of one writer keep their order. */
  append(header: Header, payload: readonly Buffer[], writer: JournalWriter): void {
    this.#waiting.push({ writer, parts: encodeEntry(header, payload) });
    if (this.#isFlushing) return;
    this.#isFlushing = true;
    this.#turns.schedule(this);
  }

  /** Drops what waits of a writer. */
  cancel(writer: JournalWriter): void {
    this.#waiting = this.#waiting.filter((other) => other.writer !== writer);
  }

  /**
   * Makes the entries void that a batch has of a writer: no start makes them good any more, see
   * {@link Segments.annul}.
   */
  async annul(batch: Batch, writer: JournalWriter): Promise<void> {
    const { segment, start } = batch.place as BatchPlace;
    const positions = batch.startsOf(writer).map((at) => start + at);
    await this.#segments.annul(segment, positions, this.isDurable);
  }

  /**
   * Begins a new segment with the next entry.
   *
   * @returns the number up to which segments may be dropped once all that is in them is elsewhere, too
   */
  rotate(): Promise<number> {
    return new Promise((resolve) => {
      this.#rotations.push(resolve);
      if (!this.#isFlushing) this.#letRotate();
    });
  }

  /** Yields the entries that were written up to a number that {@link rotate} has returned. */
  async *entries(upTo: number): AsyncGenerator<JournalEntry<Header>, void, undefined> {
    yield* this.#segments.entries<Header>(await this.#own(upTo), () => {});
  }

  /** Forgets the segments up to a number that {@link rotate} has returned; never what {@link replay} has found. */
  async drop(upTo: number): Promise<void> {
    await this.#segments.remove(await this.#own(upTo), this.isDurable);
    for (const number of this.#ended.keys()) if (number <= upTo) this.#ended.delete(number);
  }

  /** To be called last. What it holds stays for the next start. */
  async close(): Promise<void> {
    await this.#segments.removeSpares();
  }

  /** Called at the end of a turn in which entries came. */
  flush(): void {
    void this.#flush();
  }

  /** Never rejects. */
  async #flush(): Promise<void> {
    while (this.#waiting.length > 0) {
      const waiting = this.#waiting;
      this.#waiting = [];
      const batch = new Batch(waiting);
      let failure: unknown;
      try {
        this.#segment ??= await this.#begin();
        await this.#commit(this.#segment, batch);
      } catch (error) {
        failure = error;
      }
      if (failure === undefined) await batch.notify();
      else await this.#refuse(waiting, failure);
      this.#letRotate();
    }
    this.#isFlushing = false;
    this.#letRotate();
  }

  /** Between two batches no segment is being written. */
  #letRotate(): void {
    const rotations = this.#rotations.splice(0);
    if (rotations.length === 0) return;
    // One without entries goes on.
    const isEmpty = this.#segment?.size === 0;
    const segment = isEmpty ? undefined : this.#segment;
    const upTo = this.#nextNumber - (isEmpty ? 2 : 1);
    // A close that fails has lost nothing: what was written was synced, or need not be.
    const closed = segment === undefined ? Promise.resolve() : this.#end(segment).catch(() => undefined);
    void closed.then(() => {
      for (const resolve of rotations) resolve(upTo);
    });
  }

  async #commit(segment: Segment, batch: Batch): Promise<void> {
    const { parts, size } = batch;
    batch.place = { segment: segment.number, start: segment.size };
    if (this.#turns.isInLine(size)) this.#turns.inLine(() => fileIo.writeAllSync(segment.fd, parts));
    else await this.#turns.byThread(() => fileIo.writeAll(segment.fd, parts));
    if (this.isDurable) await this.#sync(segment);
    segment.size += size;
  }

  async #sync({ fd }: Segment): Promise<void> {
    const sinceMs = performance.now();
    await fileIo.fdatasync(fd);
    this.#syncs?.observe(performance.now() - sinceMs);
  }

  /** Refuses those, and all that came meanwhile: they may build on the ones that failed. */
  async #refuse(waiting: readonly WaitingEntry[], failure: unknown): Promise<void> {
    const segment = this.#segment;
    const isSure = segment === undefined || (await this.#cutBack(segment));
    const writers = new Set([...waiting, ...this.#waiting.splice(0)].map(({ writer }) => writer));
    for (const writer of writers) writer.refused(journalFailure(failure), isSure);
  }

  /**
   * What follows a torn entry could not be read, so a segment that cannot be cut is not written any more.
   *
   * @returns whether it was cut
   */
  async #cutBack(segment: Segment): Promise<boolean> {
    try {
      await fileIo.ftruncate(segment.fd, segment.size);
      if (this.isDurable) await fileIo.fdatasync(segment.fd);
      return true;
    } catch {
      await this.#end(segment).catch(() => undefined);
      return false;
    }
  }

  async #begin(): Promise<Segment> {
    const { directory } = this.#segments;
    await fileIo.makeDirectories(directory, OWN_DIRECTORY_MODE);
    const number = this.#nextNumber++;
    const name = this.#segments.nameOf(number);
    const fd = await this.#segments.create(number);
    try {
      if (this.isDurable) await fileIo.syncDirectories(directory, path.dirname(path.dirname(directory)));
      return { number, fd, size: 0 };
    } catch (error) {
      await fileIo.close(fd);
      await fs.promises.rm(name, { force: true }).catch(() => undefined);
      throw error;
    }
  }

  async #end({ number, fd, size }: Segment): Promise<void> {
    this.#segment = undefined;
    this.#ended.set(number, size);
    await fileIo.close(fd);
  }

  async #replayed(): Promise<number[]> {
    return (await this.#segments.numbers()).filter((number) => number < this.#firstNumber);
  }

  async #own(upTo: number): Promise<number[]> {
    const numbers = await this.#segments.numbers();
    return numbers.filter((number) => number >= this.#firstNumber && number <= upTo);
  }
}

/** A full disk is for the client to know; what else is wrong with the server's own files is not its path's fault. */
function journalFailure(error: unknown): HttpfstreamError {
  const failure = storageFailure(error);
  if (failure instanceof StorageFullError || failure instanceof StorageBusyError) return failure;
  return new StorageError("the server's journal cannot be written", { cause: error });
}
