import type { AppendFile } from '../../storage/append-file.ts';
import type { RedoWriter } from '../../storage/journal/redo-batch.ts';
import type { RedoLog } from '../../storage/journal/redo-log.ts';
import { storageFailure } from '../../storage/storage-failure.ts';
import type { TurnWriter, WriteTurns } from '../../storage/write-turns.ts';
import type { HttpfstreamError } from '../../wire/errors.ts';
import { MERGED_BYTES } from '../../wire/protocol.ts';
import type { Feed } from '../feed.ts';
import { type Checkpoints, MAX_HELD_BYTES } from '../recovery/checkpoints.ts';
import { LoneRecord } from '../single-append/lone-record.ts';
import { MAX_LOGGED_BYTES, type StreamRecord } from '../single-append/stream-record.ts';
import type { Claimant, Stream } from '../streams/stream.ts';
import type { Syncer } from '../syncer.ts';
import { writeAtEndOfTurn } from '../write-at-end.ts';
import { ByteQueue } from './byte-queue.ts';

/** Bytes waiting for the disk from which on an appender is asked to pause. */
const HIGH_WATER_MARK_BYTES = 2 * 1024 * 1024;

/** Bytes waiting for the disk below which it may go on. */
const LOW_WATER_MARK_BYTES = 1024 * 1024;

/**
 * When bytes count as safe: once the system has them (`os`: they survive a
 * crash of this process), or once the disk has (`disk`: and a loss of power).
 */
export type Durability = 'os' | 'disk';

/** Who is told how the writing goes. */
export interface WriterOwner {
  /** Called when {@link GroupWriter.append} returned false and may be called again. */
  drained(): void;
  /** Called when the bytes below `position` are safe; it only grows. */
  safe(position: number): void;
  /** Called once when bytes were refused; nothing is written any more. */
  failed(error: HttpfstreamError): void;
}

/** What bytes are written, and made safe, with. */
export interface WriterContext {
  durability: Durability;
  turns: WriteTurns;
  syncer: Syncer;
  log: RedoLog<StreamRecord>;
  checkpoints: Checkpoints<Stream>;
}

/**
 * Writes the bytes of one feed: those that come in one turn of the event loop
 * are written together at its end. They are committed, and thereby sent to
 * followers, once they are in the file. With `disk` they are safe when the log, which
 * is synced for all files together, has them, too.
 */
export class GroupWriter implements TurnWriter, RedoWriter, Claimant {
  readonly #stream: Stream;
  readonly #feed: Feed;
  readonly #file: AppendFile;
  readonly #with: WriterContext;
  readonly #owner: WriterOwner;
  readonly #pending = new ByteQueue(MERGED_BYTES);
  #received: number;
  #safe: number;
  #pauseAsked = false;
  #accepting = true;
  /** Whether bytes wait for the end of the turn, or are on their way to the file. */
  #isBusy = false;
  /** Where the runs end that are on their way to the log. */
  #logging: number[] = [];
  /** Set while what was committed is made safe in the file. */
  #securing: Promise<void> | undefined;
  /** Who waits until everything that was taken is in the file, … */
  #flushed: (() => void)[] = [];
  /** … and who until it is safe. */
  #secured: (() => void)[] = [];
  /** Whether the log has what the file may lose. */
  #isLogged = false;
  #failure: HttpfstreamError | undefined;

  constructor(stream: Stream, feed: Feed, file: AppendFile, context: WriterContext, owner: WriterOwner) {
    this.#stream = stream;
    this.#feed = feed;
    this.#file = file;
    this.#with = context;
    this.#owner = owner;
    this.#received = feed.committed;
    this.#safe = feed.committed;
    stream.claimant = this;
  }

  /** Position after the last byte that was taken. */
  get received(): number {
    return this.#received;
  }

  /** The bytes below this position are safe. */
  get safePosition(): number {
    return this.#safe;
  }

  /**
   * Takes bytes, which the caller gives away. After `stop` they are dropped.
   *
   * @returns false when too many bytes wait for the disk: pause until `drained`
   */
  append(bytes: Buffer): boolean {
    if (!this.#accepting || bytes.length === 0) return true;
    this.#pending.push(bytes);
    this.#received += bytes.length;
    if (!this.#isBusy) {
      this.#isBusy = true;
      this.#with.turns.schedule(this);
    }
    this.#pauseAsked ||= this.#received - this.#feed.committed > HIGH_WATER_MARK_BYTES;
    return !this.#pauseAsked;
  }

  /** Takes no more bytes. */
  stop(): void {
    this.#accepting = false;
  }

  /** Resolves when everything that was taken is in the file, or refused. Never rejects: see `failed`. */
  async flushed(): Promise<void> {
    if (this.#isBusy) await new Promise<void>((resolve) => this.#flushed.push(resolve));
  }

  /** Resolves when everything that was taken is safe, or refused. Never rejects: see `failed`. */
  async secured(): Promise<void> {
    await this.flushed();
    if (!this.#isSecured) await new Promise<void>((resolve) => this.#secured.push(resolve));
    await this.#securing;
  }

  /** Makes the bytes written so far survive a loss of power. Never rejects: see `failed`. */
  async sync(): Promise<void> {
    await this.#stream.sync.sync().catch((error) => this.#fail(error));
  }

  /**
   * Makes what was written safe in the file, before that is closed. Never rejects: what cannot be is left to the log.
   *
   * @param isCut whether the file was cut, so that what the log has of it must not be written again, whatever the disk has
   */
  async finish(isCut: boolean): Promise<void> {
    this.#with.syncer.forget(this);
    if (isCut) await this.#annul();
    await this.sync();
    // Whoever cuts or replaces what is in the file from now on is not to find it there again after a crash.
    if (this.#stream.sync.lost === undefined) await this.#annul();
  }

  async isolate(cause: HttpfstreamError): Promise<void> {
    this.#fail(cause);
    await this.secured();
  }

  /** Called at the end of a turn in which bytes came. */
  flush(): void {
    const parts = this.#pending.take();
    const start = this.#feed.committed;
    const written =
      parts.length === 0 ? undefined : writeAtEndOfTurn(this.#with.turns, this.#file, start, parts);
    if (written !== undefined) {
      void written
        .then(
          () => this.#commit(start, parts),
          (error) => this.#fail(error),
        )
        .then(() => this.#goOn());
      return;
    }
    if (parts.length > 0) this.#commit(start, parts);
    this.#goOn();
  }

  /** Called by the log. */
  committed(count: number): undefined {
    const end = this.#logging.splice(0, count).at(-1);
    if (end !== undefined) this.#isSafe(end);
  }

  /** Called by the log when it does not have the bytes: they are in the file, and made safe there. */
  refused(): void {
    this.#logging = [];
    this.#securing ??= this.#secureFile();
  }

  #commit(start: number, parts: readonly Buffer[]): void {
    this.#stream.sync.written(this.#file);
    this.#feed.commit(start, parts);
    if (this.#with.durability === 'os') {
      this.#with.syncer.touch(this);
      this.#isSafe(this.#feed.committed);
    } else this.#secure(start, parts);
    if (this.#pauseAsked && this.#received - this.#feed.committed < LOW_WATER_MARK_BYTES) {
      this.#pauseAsked = false;
      this.#owner.drained();
    }
  }

  /** What has come meanwhile is written at the end of this turn. */
  #goOn(): void {
    if (this.#pending.length > 0) {
      this.#with.turns.schedule(this);
      return;
    }
    this.#isBusy = false;
    for (const resolve of this.#flushed.splice(0)) resolve();
  }

  #secure(start: number, parts: readonly Buffer[]): void {
    const { log, checkpoints } = this.#with;
    const { committed } = this.#feed;
    const isForLog = committed - start <= MAX_LOGGED_BYTES && log.heldSize < MAX_HELD_BYTES;
    if (this.#failure !== undefined) return;
    if (!isForLog || this.#securing !== undefined) {
      this.#securing ??= this.#secureFile();
      return;
    }
    this.#isLogged = true;
    this.#logging.push(committed);
    // From before the log has it: else others may drop it.
    checkpoints.add(this.#stream);
    log.append(this.#record({ run: true, start, length: committed - start }), parts, this);
  }

  /** Syncs as long as there is something new: what is committed meanwhile goes with the next sync. */
  async #secureFile(): Promise<void> {
    while (this.#safe < this.#feed.committed && this.#failure === undefined) {
      const position = this.#feed.committed;
      await this.sync();
      this.#isSafe(position);
    }
    this.#securing = undefined;
  }

  #isSafe(position: number): void {
    if (this.#failure !== undefined || position <= this.#safe) return;
    this.#safe = position;
    this.#owner.safe(position);
    if (this.#isSecured) this.#tellSecured();
  }

  get #isSecured(): boolean {
    return this.#failure !== undefined || this.#safe === this.#feed.committed;
  }

  #tellSecured(): void {
    for (const resolve of this.#secured.splice(0)) resolve();
  }

  /** Makes moot what the log has by now. What fails is as if a crash had come before. */
  async #annul(): Promise<void> {
    if (!this.#isLogged) return;
    this.#isLogged = false;
    await new LoneRecord(this.#with.log, this.#record({ moot: true })).write().catch(ignore);
  }

  #record(what: Partial<StreamRecord>): StreamRecord {
    const { fingerprint: file, location: path } = this.#stream;
    return { file, path, version: 0, start: 0, length: 0, ...what };
  }

  #fail(error: unknown): void {
    if (this.#failure !== undefined) return;
    this.#accepting = false;
    this.#pending.take();
    this.#failure = storageFailure(error);
    this.#owner.failed(this.#failure);
    this.#tellSecured();
  }
}

function ignore(): void {}
