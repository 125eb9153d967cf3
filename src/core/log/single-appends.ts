import type { Batch, JournalWriter } from '../../storage/journal/batch.ts';
import { diverged, isCopy, type StreamState } from '../../storage/records/stream-state.ts';
import { storageFailure } from '../../storage/storage-failure.ts';
import type { AppendFile } from '../../storage/stored-file.ts';
import { OutcomeUnknownError, StorageError } from '../../wire/errors.ts';
import type { StreamAppend } from './append-rules.ts';
import { entryOf, type FileEntry, MAX_JOURNALED_BYTES } from './file-entry.ts';
import { LargeAppend } from './large-append.ts';
import type { LocalLog, LogTarget } from './local-log.ts';
import { type PendingAppend, PendingAppends } from './pending-appends.ts';
import type { ProducerRequest } from './producers.ts';
import { asBusy, type Remnant, writeAtEndOfTurn } from './write-at-end.ts';

/**
 * The way of single appends into one stream. They are judged one after the other as
 * they come, each as if those before it were made; then written to the
 * journal and to the file, together with those of all streams, and count.
 */
export class SingleAppends implements JournalWriter {
  readonly #log: LocalLog;
  readonly #target: LogTarget;
  readonly #pending: PendingAppends;
  /** Whether it is remembered that there are producers. */
  #hasProducers: boolean;
  #file: AppendFile | undefined;
  /** Set while nothing is accepted; settles when that is over. */
  #exclusive: Promise<unknown> | undefined;
  /** Removes what appends that failed have left in the file and in the journal. Set until that is done. */
  #undo: Undo | undefined;
  /** Whether what the journal has of it is elsewhere, too, where nothing is made void. */
  #isCopied = false;

  /**
   * @param state of the stream, as it is remembered
   * @param type of the bytes that it takes; undefined takes all
   */
  constructor(log: LocalLog, target: LogTarget, state: StreamState, type: string | undefined) {
    this.#log = log;
    this.#target = target;
    this.#pending = new PendingAppends(state, type, target.room);
    this.#hasProducers = state.producers !== undefined;
  }

  /** What is in the file, and counts; without the producers. */
  get settled(): StreamState {
    return this.#pending.settled;
  }

  /** The file, while it is open to be appended to. */
  get file(): AppendFile | undefined {
    return this.#file;
  }

  /** The last request of a producer that was accepted. */
  producer(id: string): ProducerRequest | undefined {
    return this.#pending.producer(id);
  }

  /**
   * Appends all of it or nothing. Resolves when that is safe and readers can have it.
   *
   * @param assertFree throws when nothing may be appended at the moment
   * @returns the stream after it; undefined when it was made before
   * @throws what {@link PendingAppends.accept} throws, and what the disk does
   */
  async append(append: StreamAppend, assertFree: () => void): Promise<StreamState | undefined> {
    const sinceMs = performance.now();
    const isLarge = append.bytes.length > MAX_JOURNALED_BYTES;
    this.#log.checkpoints.assertCapacity();
    if (this.#file === undefined) await this.#log.checkpoints.waitForCapacity();
    for (let hasWaited = false; ; hasWaited = true) {
      // Looked at again after each wait: between the look and the judgement nothing may happen.
      while (!this.#isReady(append)) {
        assertFree();
        if (this.#target.sync.lost !== undefined) throw this.#target.sync.lost;
        if (this.#exclusive !== undefined) await this.#exclusive;
        else await this.#exclusively(() => this.#prepare(append));
      }
      assertFree();
      const pending = this.#pending.accept(append);
      if (pending !== undefined) {
        if (isLarge) void this.#exclusively(() => this.#makeLarge(pending));
        else this.#log.journal.append(this.#entryOf(pending), partsOf(pending.append), this);
        await pending.made;
        const tookMs = performance.now() - sinceMs;
        this.#log.numbers.appendSafe.observe(tookMs);
        this.#log.numbers.appendSent.observe(tookMs);
        return pending.after;
      }
      if (hasWaited) return undefined;
      // What it repeats may be under way, and be refused: then this is no repetition.
      await this.#pending.drained();
    }
  }

  /** Called by the journal. */
  committed(count: number, batch: Batch): Promise<void> | undefined {
    this.#log.checkpoints.add(this.#target);
    const safe = this.#pending.list.slice(0, count);
    const start = (safe[0] as PendingAppend).before.size;
    const parts = safe.flatMap(({ append }) => partsOf(append));
    // A look without bytes, too: what other programs have appended comes before the end of the stream.
    const written = writeAtEndOfTurn(this.#log.turns, this.#file as AppendFile, start, parts);
    if (written !== undefined) {
      return written.then((failure) => {
        if (failure === undefined) this.#settle(count);
        else {
          const annul = () => this.#log.journal.annul(batch, this);
          this.#fail(asBusy(failure.cause), { remnant: failure.remnant, count }, annul);
        }
      });
    }
    this.#settle(count);
    return undefined;
  }

  /** Called by the journal when it does not have the appends under way. */
  refused(error: unknown, isSure: boolean): void {
    this.#fail(error, {}, () => (isSure ? Promise.resolve() : Promise.reject(error)));
  }

  /** Runs `action` while nothing is under way, and accepts nothing until it is done. */
  async whileIdle<T>(action: () => T | Promise<T>): Promise<T> {
    while (this.#exclusive !== undefined) await this.#exclusive;
    return this.#exclusively(async () => {
      await this.#pending.drained();
      return action();
    });
  }

  /** Changes what does not come through appends; while nothing is under way. */
  amend(change: Partial<StreamState>): void {
    this.#pending.amend(change);
    this.#target.changed();
  }

  /**
   * Remembers, and then notes, the content type of a file that was not made as a stream, or that it has none; while
   * nothing is under way.
   */
  async setType(fileType: string | undefined): Promise<void> {
    await this.#log.saveFileType(this.#target, fileType);
    this.amend({ fileType });
  }

  /** Forgets that type, unless it is what a fork has of its source; while nothing is under way. */
  async forgetType(): Promise<void> {
    const { fileType, origin } = this.settled;
    if (fileType !== undefined && origin === undefined) await this.setType(undefined);
  }

  /** Notes that a copy gets what is not there; while nothing is under way. */
  diverge(): void {
    if (isCopy(this.settled)) this.amend({ copy: diverged(this.settled.copy) });
  }

  /** Notes, and remembers, where a copy comes from by now. */
  noteSource(source: object): Promise<void> {
    return this.whileIdle(async () => {
      if (!isCopy(this.settled)) return;
      await this.#undo?.run();
      const change = { copy: { ...this.settled.copy, source } };
      if (this.settled.version > 0) await this.#save(this.#hasProducers, change);
      this.amend(change);
    });
  }

  /** Notes that another program has cut the file, which the next append opens anew; while nothing is under way. */
  cut(size: number): void {
    this.amend(this.#pending.found(this.settled, size));
    void this.closeFile().catch(ignore);
  }

  /** Makes what is in the file safe, and remembers it beside the file, so that the journal is not needed for it. */
  async checkpoint(): Promise<void> {
    const state = await this.whileIdle(async () => {
      await this.#undo?.run();
      this.#target.sync.begin();
      return this.#pending.snapshot(this.#hasProducers);
    });
    await this.#target.sync.done();
    // Of a file that is no stream nothing is to be remembered.
    if (state.version > 0) await this.#log.save(this.#target, state);
  }

  /** As {@link checkpoint}, if there is anything to be remembered; while nothing is under way. */
  async remember(): Promise<void> {
    await this.#undo?.run();
    if (this.settled.version > 0) await this.#save(this.#hasProducers);
  }

  /** Closes the stream: it is closed when that is remembered, and not before. */
  close(): Promise<void> {
    return this.whileIdle(async () => {
      await this.#undo?.run();
      const closed = { version: this.settled.version + 1, closed: true } as const;
      try {
        await this.#save(this.#hasProducers, closed);
      } catch (error) {
        if (!(error instanceof OutcomeUnknownError)) throw error;
        // It is remembered by now, though not safely; what was before is to be.
        await this.#save(this.#hasProducers).catch(() => Promise.reject(error));
        throw storageFailure(error.cause);
      }
      this.amend(closed);
    });
  }

  /** Resolves when nothing is under way that the journal has; what it has may be copied until {@link release}. */
  async isolate(): Promise<void> {
    await this.whileIdle(async () => {
      // If it fails, it is done later, and not in the journal.
      await this.#undo?.run().catch(ignore);
      this.#isCopied = true;
    });
  }

  /** Notes that there is no copy of the journal any more. */
  release(): void {
    this.#isCopied = false;
  }

  /**
   * As {@link closeFile}, once what has failed is taken back: until then nothing in the file is to be taken for another
   * program's.
   *
   * @throws what keeps it from being taken back; then the file stays open
   */
  async quiesce(): Promise<void> {
    await this.#undo?.run();
    await this.closeFile();
  }

  /** Closes the file; the next append opens it again. While nothing is under way. */
  async closeFile(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    if (file === undefined) return;
    await this.#target.sync.sync().finally(() => file.close());
  }

  get #isDurable(): boolean {
    return this.#log.durability === 'disk';
  }

  #isReady({ producer }: StreamAppend): boolean {
    return (
      this.#exclusive === undefined &&
      this.#file !== undefined &&
      this.#target.sync.lost === undefined &&
      this.#undo === undefined &&
      (producer === undefined || this.#hasProducers)
    );
  }

  async #exclusively<T>(action: () => Promise<T>): Promise<T> {
    const done = action();
    this.#exclusive = done.then(ignore, ignore);
    try {
      return await done;
    } finally {
      this.#exclusive = undefined;
    }
  }

  async #prepare({ producer }: StreamAppend): Promise<void> {
    await this.#pending.drained();
    await this.#undo?.run();
    if (producer !== undefined && !this.#hasProducers) {
      // From now on nothing in the file counts that no producer is known to have brought.
      await this.#save(true);
      this.#hasProducers = true;
    }
    if (this.#file !== undefined) return;
    const known = this.settled;
    const { file, size } = await this.#log.open(this.#target, known);
    this.#file = file;
    this.amend(this.#pending.found(known, size));
  }

  /** What was written before is lost, too, if this fails. */
  async #secure(): Promise<void> {
    this.#target.sync.written(this.#file as AppendFile);
    if (this.#isDurable) await this.#target.sync.sync();
  }

  /** @param change what is to be remembered besides, and is not so yet */
  async #save(hasProducers: boolean, change: Partial<StreamState> = {}): Promise<void> {
    await this.#target.sync.sync();
    await this.#log.save(this.#target, { ...this.#pending.snapshot(hasProducers), ...change });
  }

  #settle(count: number): void {
    this.#target.sync.written(this.#file as AppendFile);
    const made = this.#pending.list.slice(0, count);
    this.#pending.settle(count);
    const [first] = made;
    if (first !== undefined) {
      const start = first.before.size;
      this.#target.applied(
        start,
        made.flatMap(({ append }) => partsOf(append)),
      );
      this.#log.numbers.appends.post.bytes += this.settled.size - start;
      if (made.some(({ append }) => append.close)) this.#log.numbers.ends.finished++;
    }
    this.#target.changed();
  }

  /** The journal says first where the bytes will be, and when they are there, that they count. */
  async #makeLarge(pending: PendingAppend): Promise<void> {
    while (this.#pending.list[0] !== pending) {
      const [first] = this.#pending.list;
      // It was refused together with one before it.
      if (first === undefined) return;
      await first.made.catch(ignore);
    }
    const large = new LargeAppend(this.#log.journal, this.#entryOf(pending), pending.append.bytes);
    // Before its intent is in the journal: a checkpoint of other streams would drop that.
    this.#log.checkpoints.add(this.#target);
    try {
      await large.make(this.#file as AppendFile, () => this.#secure());
    } catch (error) {
      this.#fail(error, { remnant: large.remnant, count: 1 }, () => large.annul());
      return;
    } finally {
      this.#log.checkpoints.add(this.#target);
    }
    this.#settle(1);
  }

  /**
   * Refuses all that is under way, since it builds on what has failed: not before no start can make
   * it any more, or else with an error that says so.
   *
   * @param written what the first of them, so many, may have left in the file; of nothing by default
   * @param annul makes what the journal has of it void
   */
  #fail(
    error: unknown,
    { remnant, count = 0 }: { remnant?: Remnant | undefined; count?: number },
    annul: () => Promise<void>,
  ): void {
    if (this.#pending.list.length === 0) return;
    this.#log.journal.cancel(this);
    const { version } = this.#pending;
    const refuse = this.#pending.takeBack();
    const undo = new Undo(async () => {
      const file = this.#file;
      if (file === undefined) throw new StorageError('the file is not open any more', { cause: error });
      await remnant?.cutOff();
      // What is void is so after a loss of power, too: then its bytes must not come back.
      if (this.#isDurable) await this.#secure();
      // A start passes over what is not above the version that is remembered.
      const skip = () => this.#skip(version);
      await (this.#isCopied ? skip() : annul().catch(skip));
      this.#undo = undefined;
      // The next append finds out what is in the file by now.
      await this.closeFile().catch(ignore);
    });
    // Tried again before the next append, and with each checkpoint: the stream is kept until then.
    this.#undo = undo;
    this.#log.checkpoints.add(this.#target);
    undo.run().then(
      () => {
        const message =
          'the append has failed, and some of it may be there: another program writes to the file';
        const unknown = remnant?.mayStay ? new OutcomeUnknownError(message, { cause: error }) : undefined;
        const failure = storageFailure(error);
        // Those behind them were not written.
        refuse((index) => (index < count ? (unknown ?? failure) : failure));
      },
      (cause) => {
        const message = 'the append has failed, and cannot be taken back: it may be made after a restart';
        const unknown = new OutcomeUnknownError(message, { cause });
        refuse(() => unknown);
      },
    );
  }

  /** Makes all versions void up to one, with what is remembered. */
  async #skip(version: number): Promise<void> {
    this.#pending.amend({ version: version + 1 });
    await this.#save(this.#hasProducers);
  }

  #entryOf({ append, before, after }: PendingAppend): FileEntry {
    const { fingerprint: file, location: path } = this.#target;
    return entryOf({ file, path }, append, before, after);
  }
}

/** Takes back what appends that failed have left behind: never twice at a time, and again if that fails. */
class Undo {
  readonly #action: () => Promise<void>;
  #running: Promise<void> | undefined;

  /** @param action does it */
  constructor(action: () => Promise<void>) {
    this.#action = action;
  }

  /**
   * Does it, or waits until it is done by whoever began before.
   *
   * @throws what the disk does
   */
  run(): Promise<void> {
    this.#running ??= this.#action().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }
}

/** What is to be written of an append. */
function partsOf({ bytes }: StreamAppend): readonly Buffer[] {
  return bytes.length === 0 ? [] : [bytes];
}

function ignore(): void {}
