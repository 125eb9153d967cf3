import type { JournalWriter } from '../../storage/journal/batch.ts';
import { LoneEntry } from '../../storage/journal/lone-entry.ts';
import { storageFailure } from '../../storage/storage-failure.ts';
import type { AppendFile } from '../../storage/stored-file.ts';
import type { TurnWriter } from '../../storage/write-turns.ts';
import type { HttpfstreamError } from '../../wire/errors.ts';
import { SHORT_MESSAGE_BYTES } from '../../wire/protocol.ts';
import { ByteQueue } from '../byte-queue.ts';
import { MAX_HELD_BYTES } from './checkpoints.ts';
import { type FileEntry, MAX_JOURNALED_BYTES } from './file-entry.ts';
import type { LocalLog, LogTarget } from './local-log.ts';
import { writeAtEndOfTurn } from './write-at-end.ts';

/** Bytes waiting for the disk from which on an appender is asked to pause. */
const HIGH_WATER_MARK_BYTES = 2 * 1024 * 1024;

/** Bytes waiting for the disk below which it may go on. */
const LOW_WATER_MARK_BYTES = 1024 * 1024;

/** Who is notified of how the writing goes. */
export interface WriterOwner {
  /** Called when {@link SessionWriter.append} returned false and may be called again. */
  drained(): void;
  /** Called when so many more bytes are in the file, and count. */
  written(bytes: number): void;
  /** Called when the bytes below `position` are safe; it only grows. */
  safe(position: number): void;
  /** Called once when bytes were refused; nothing is written any more. */
  failed(error: HttpfstreamError): void;
}

/**
 * Writes the bytes of one session: those that come in one turn of the event loop
 * are written together at its end. They are committed, and thereby sent to
 * followers, once they are in the file. With `disk` they are safe when the journal, which
 * is synced for all files together, has them, too.
 */
export class SessionWriter implements TurnWriter, JournalWriter {
  readonly #log: LocalLog;
  readonly #target: LogTarget;
  readonly #file: AppendFile;
  readonly #owner: WriterOwner;
  /** Tells its runs from those of other sessions in the journal. */
  readonly #number: number;
  readonly #pending = new ByteQueue(SHORT_MESSAGE_BYTES);
  #received: number;
  #safe: number;
  #pauseAsked = false;
  #accepting = true;
  /** Whether bytes wait for the end of the turn, or are on their way to the file. */
  #isBusy = false;
  /** When the first of those came that wait, and the first of those that are on their way, by `performance.now()`. */
  #pendingSinceMs = 0;
  #writingSinceMs = 0;
  /** Where the runs end that are on their way to the journal, and since when they are here. */
  #journaling: { end: number; sinceMs: number }[] = [];
  /** Set while what was committed is made safe in the file. */
  #securing: Promise<void> | undefined;
  /** Who waits until everything that was taken is in the file, … */
  #flushed: (() => void)[] = [];
  /** … and who until it is safe. */
  #secured: (() => void)[] = [];
  /** Whether the journal has what the file may lose. */
  #isJournaled = false;
  #failure: HttpfstreamError | undefined;

  constructor(log: LocalLog, target: LogTarget, file: AppendFile, owner: WriterOwner) {
    this.#log = log;
    this.#target = target;
    this.#file = file;
    this.#owner = owner;
    this.#number = log.nextSession();
    this.#received = target.committed;
    this.#safe = target.committed;
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
   * Takes bytes, which are its own from now on. After `stop` they are dropped.
   *
   * @param isMerged whether they are, or may be, several short messages. Default: false
   * @returns false when too many bytes wait for the disk: pause until `drained`
   */
  append(bytes: Buffer, isMerged?: boolean): boolean {
    if (!this.#accepting || bytes.length === 0) return true;
    try {
      this.#target.room.take(bytes.length);
    } catch (error) {
      // What came before is written; what does not fit is refused as a whole.
      this.#accepting = false;
      this.#owner.failed(storageFailure(error));
      return true;
    }
    if (this.#pending.length === 0) this.#pendingSinceMs = performance.now();
    this.#pending.push(bytes, isMerged);
    this.#received += bytes.length;
    if (!this.#isBusy) {
      this.#isBusy = true;
      this.#log.turns.schedule(this);
    }
    this.#pauseAsked ||= this.#received - this.#target.committed > HIGH_WATER_MARK_BYTES;
    return !this.#pauseAsked;
  }

  /** Takes bytes, but writes none before `ready` has settled, which never rejects; while all that came is written. */
  holdUntil(ready: Promise<void>): void {
    if (this.#isBusy) return;
    this.#isBusy = true;
    void ready.then(() => this.#goOn());
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

  /** Syncs the bytes written so far. Never rejects: see `failed`. */
  async sync(): Promise<void> {
    await this.#target.sync.sync().catch((error) => this.#fail(error));
  }

  /**
   * Makes what was written safe in the file, before that is closed. Never rejects: what cannot be is left to the
   * journal.
   *
   * @param isCut whether the file was cut, so that what the journal has of it must not be replayed, whatever the disk
   *   has
   */
  async finish(isCut: boolean): Promise<void> {
    this.#log.syncer.forget(this);
    if (isCut) await this.#annul();
    await this.sync();
    // What another program cuts or replaces from now on must not come back by a replay.
    if (this.#target.sync.lost === undefined) await this.#annul();
  }

  async isolate(cause: HttpfstreamError): Promise<void> {
    this.#fail(cause);
    await this.secured();
  }

  /** Called at the end of a turn in which bytes came. */
  flush(): void {
    const { parts, merged } = this.#pending.take();
    this.#writingSinceMs = this.#pendingSinceMs;
    const start = this.#target.committed;
    const written =
      parts.length === 0 ? undefined : writeAtEndOfTurn(this.#log.turns, this.#file, start, parts);
    if (written !== undefined) {
      void written
        .then((failure) => {
          if (failure === undefined) this.#commit(start, parts, merged);
          else {
            this.#target.room.giveBack(lengthOf(parts));
            this.#fail(failure.cause);
          }
        })
        .then(() => this.#goOn());
      return;
    }
    if (parts.length > 0) this.#commit(start, parts, merged);
    this.#goOn();
  }

  /** Called by the journal. */
  committed(count: number): undefined {
    const safe = this.#journaling.splice(0, count);
    const last = safe.at(-1);
    if (last === undefined) return;
    this.#raiseSafe(last.end);
    for (const { sinceMs } of safe) this.#countSafe(sinceMs);
  }

  /** Called by the journal when it does not have the bytes: they are in the file, and made safe there. */
  refused(): void {
    this.#journaling = [];
    // Else it would be over before it is noted, and count as under way for ever.
    if (!this.#isSecured) this.#securing ??= this.#secureFile();
  }

  #commit(start: number, parts: readonly Buffer[], merged: ReadonlySet<Buffer> | undefined): void {
    this.#target.sync.written(this.#file);
    this.#target.applied(start, parts, merged);
    this.#target.room.giveBack(lengthOf(parts));
    this.#owner.written(this.#target.committed - start);
    this.#log.numbers.appendSent.observe(performance.now() - this.#writingSinceMs);
    if (this.#log.durability === 'os') {
      this.#log.syncer.touch(this);
      this.#raiseSafe(this.#target.committed);
      this.#countSafe(this.#writingSinceMs);
    } else this.#secure(start, parts);
    if (this.#pauseAsked && this.#received - this.#target.committed < LOW_WATER_MARK_BYTES) {
      this.#pauseAsked = false;
      this.#owner.drained();
    }
  }

  /** What has come meanwhile is written at the end of this turn. */
  #goOn(): void {
    if (this.#pending.length > 0) {
      this.#log.turns.schedule(this);
      return;
    }
    this.#isBusy = false;
    for (const resolve of this.#flushed.splice(0)) resolve();
  }

  #secure(start: number, parts: readonly Buffer[]): void {
    const { journal, checkpoints } = this.#log;
    const { committed } = this.#target;
    const isForJournal = committed - start <= MAX_JOURNALED_BYTES && journal.heldSize < MAX_HELD_BYTES;
    if (this.#failure !== undefined) return;
    if (!isForJournal || this.#securing !== undefined) {
      this.#securing ??= this.#secureFile();
      return;
    }
    this.#isJournaled = true;
    this.#journaling.push({ end: committed, sinceMs: this.#writingSinceMs });
    // Before the journal has it: else a checkpoint of others may drop it.
    checkpoints.add(this.#target);
    journal.append(this.#entry({ run: this.#number, start, length: committed - start }), parts, this);
  }

  /** Syncs as long as there is something new: what is committed meanwhile goes with the next sync. */
  async #secureFile(): Promise<void> {
    while (this.#safe < this.#target.committed && this.#failure === undefined) {
      const position = this.#target.committed;
      const sinceMs = this.#writingSinceMs;
      await this.sync();
      this.#raiseSafe(position);
      if (this.#failure === undefined) this.#countSafe(sinceMs);
    }
    this.#securing = undefined;
  }

  #raiseSafe(position: number): void {
    if (this.#failure !== undefined || position <= this.#safe) return;
    this.#safe = position;
    this.#owner.safe(position);
    if (this.#isSecured) this.#notifySecured();
  }

  #countSafe(sinceMs: number): void {
    this.#log.numbers.appendSafe.observe(performance.now() - sinceMs);
  }

  get #isSecured(): boolean {
    return this.#failure !== undefined || this.#safe === this.#target.committed;
  }

  #notifySecured(): void {
    for (const resolve of this.#secured.splice(0)) resolve();
  }

  /**
   * Makes void what the journal has of this session and those before it. What fails is as if a crash had come before.
   */
  async #annul(): Promise<void> {
    if (!this.#isJournaled) return;
    this.#isJournaled = false;
    await new LoneEntry(this.#log.journal, this.#entry({ moot: this.#number })).write().catch(ignore);
  }

  #entry(what: Partial<FileEntry>): FileEntry {
    const { fingerprint: file, location: path } = this.#target;
    return { file, path, version: 0, start: 0, length: 0, ...what };
  }

  #fail(error: unknown): void {
    if (this.#failure !== undefined) return;
    this.#accepting = false;
    this.#target.room.giveBack(lengthOf(this.#pending.take().parts));
    this.#failure = storageFailure(error);
    this.#owner.failed(this.#failure);
    this.#notifySecured();
  }
}

function lengthOf(parts: readonly Buffer[]): number {
  let bytes = 0;
  for (const { length } of parts) bytes += length;
  return bytes;
}

function ignore(): void {}
