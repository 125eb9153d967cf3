import { AppendBusyError, StorageError } from '../../errors.ts';
import type { AppendFile } from '../../storage/append-file.ts';
import type { WriteOutcome } from '../../storage/commit-thread.ts';
import type { RedoWriter } from '../../storage/redo-batch.ts';
import type { RedoLog } from '../../storage/redo-log.ts';
import { storageFailure } from '../../storage/storage-failure.ts';
import type { StreamState } from '../../storage/stream-state.ts';
import { assertWritten, takeBack, writeAtEnd } from '../write-at-end.ts';
import type { StreamAppend } from './append-rules.ts';
import { FileSync } from './file-sync.ts';
import type { ProducerRequest } from './producers.ts';
import { type Change, StreamChanges } from './stream-changes.ts';
import { recordOf, type StreamRecord } from './stream-record.ts';

/** More bytes than this go straight to the file, and only that they do goes through the log. */
const MAX_LOGGED_BYTES = 256 * 1024;

const NO_BYTES = Buffer.alloc(0);

/** What the appends of one stream need. */
export interface PipelineOptions {
  /** Fingerprint of the file. */
  fingerprint: string;
  /** Path of the file below the root. */
  location: string;
  state: StreamState;
  /** Type of the bytes that it takes; undefined takes all. */
  type: string | undefined;
  log: RedoLog<StreamRecord>;
  /** Opens the file to be appended to, of which `size` bytes belong to the stream. */
  openFile: (state: StreamState) => Promise<{ file: AppendFile; size: number }>;
  /**
   * Resolves when one more file may be opened.
   *
   * @throws what keeps others from being closed
   */
  room: () => Promise<void>;
  /** Makes what was written to the file survive a loss of power. */
  sync: (file: AppendFile) => Promise<void>;
  /** Whether an append is safe only when it survives a loss of power. */
  isDurable: boolean;
  /** Replaces what the sidecar has of the stream. */
  save: (state: StreamState) => Promise<void>;
  /** Called when the log has something that the sidecar does not have. */
  logged: () => void;
  /** Called when there is more to be seen by readers. */
  settled: () => void;
}

/**
 * The way of appends into one stream. They are judged one after the other as
 * they come, each as if those before it were made; then written down in the redo
 * log and to the file, together with those of all streams, and count.
 */
export class AppendPipeline implements RedoWriter {
  readonly #options: PipelineOptions;
  readonly #changes: StreamChanges;
  /** Whether the sidecar says that there are producers. */
  #hasProducers: boolean;
  #file: AppendFile | undefined;
  readonly #sync: FileSync;
  /** Set while nothing is let in; settles when that is over. */
  #exclusive: Promise<unknown> | undefined;
  /** The highest version that the log may have of an append that was refused after all. */
  #voidVersion: number | undefined;
  /** Settles when what such an append has left in the file is gone. */
  #cleaned: Promise<unknown> | undefined;

  constructor(options: PipelineOptions) {
    const { state, type, sync } = options;
    this.#options = options;
    this.#sync = new FileSync(sync);
    this.#changes = new StreamChanges(state, type);
    this.#hasProducers = state.producers !== undefined;
  }

  /** What is in the file, and counts; without the producers. */
  get settled(): StreamState {
    return this.#changes.settled;
  }

  /** The file, while it is open to be appended to. */
  get file(): AppendFile | undefined {
    return this.#file;
  }

  /** The last request of a producer that was let in. */
  producer(id: string): ProducerRequest | undefined {
    return this.#changes.producer(id);
  }

  /**
   * Appends all of it or nothing. Resolves when that is safe and readers can have it.
   *
   * @param assertFree throws when nothing may be appended at the moment
   * @returns the stream after it; undefined when it was made before
   * @throws what {@link StreamChanges.letIn} throws, and what the disk does
   */
  async append(append: StreamAppend, assertFree: () => void): Promise<StreamState | undefined> {
    const isLarge = append.bytes.length > MAX_LOGGED_BYTES;
    if (this.#file === undefined) await this.#options.room();
    for (let hasWaited = false; ; hasWaited = true) {
      // Looked at again after each wait: between the look and the judgement nothing may happen.
      while (!this.#isReady(append)) {
        assertFree();
        if (this.#sync.lost !== undefined) throw this.#sync.lost;
        if (this.#exclusive !== undefined) await this.#exclusive;
        else await this.#exclusively(() => this.#prepare(append));
      }
      assertFree();
      const change = this.#changes.letIn(append);
      if (change !== undefined) {
        if (isLarge) this.#exclusively(() => this.#makeLarge(change)).catch((error) => this.refused(error));
        else this.#options.log.append(this.#recordOf(change), append.bytes, this);
        await change.made;
        return change.after;
      }
      if (hasWaited) return undefined;
      // What it repeats may be under way, and be refused: then this is no repetition.
      await this.#changes.drained();
    }
  }

  /** Called by the log. */
  committed(count: number, outcome: WriteOutcome | undefined): void {
    this.#options.logged();
    const changes = this.#changes.pending.slice(0, count);
    const start = (changes[0] as Change).before.size;
    const { size } = (changes.at(-1) as Change).after;
    if (outcome === undefined || (outcome.state?.size === size && outcome.state.isLinked)) {
      this.#settle(count);
      return;
    }
    const file = this.#file as AppendFile;
    const parts = changes.map(({ append }) => append.bytes);
    const cleaned = outcome.state
      ? assertWritten(file, start, parts, outcome.state).catch(asBusy)
      : takeBack(file, start, parts).then(() => Promise.reject(outcome.error));
    this.#void(cleaned);
  }

  /** Called by the log when it does not have the appends under way. */
  refused(error: unknown, isSure = true): void {
    if (!isSure) this.#voidVersion = this.#changes.version;
    this.#changes.refuse(error);
  }

  /** Runs `action` while nothing is under way, and lets nothing in until it is done. */
  async quietly<T>(action: () => T | Promise<T>): Promise<T> {
    while (this.#exclusive !== undefined) await this.#exclusive;
    return this.#exclusively(async () => {
      await this.#changes.drained();
      await this.#cleaned;
      return action();
    });
  }

  /** Changes what does not come through appends; while nothing is under way. */
  amend(change: Partial<StreamState>): void {
    this.#changes.amend(change);
    this.#options.settled();
  }

  /** Makes what is in the file safe, and remembers it beside the file, so that the log is not needed for it. */
  async checkpoint(): Promise<void> {
    const [state, voidVersion] = await this.quietly(() => {
      this.#passVoid();
      this.#sync.begin(this.#file);
      return [this.#changes.snapshot(this.#hasProducers), this.#voidVersion] as const;
    });
    await this.#sync.done();
    await this.#options.save(state);
    if (voidVersion === this.#voidVersion) this.#voidVersion = undefined;
  }

  /** As {@link checkpoint}, if there is anything to be remembered; while nothing is under way. */
  async remember(): Promise<void> {
    this.#passVoid();
    if (this.settled.version === 0) return;
    this.#sync.begin(this.#file);
    await this.#sync.done();
    await this.#options.save(this.#changes.snapshot(this.#hasProducers));
    this.#voidVersion = undefined;
  }

  /** Lets the file go; the next append opens it again. While nothing is under way. */
  async cool(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    if (file === undefined) return;
    try {
      this.#sync.begin(file);
      await this.#sync.done();
    } finally {
      await file.close();
    }
  }

  #isReady({ producer }: StreamAppend): boolean {
    return (
      this.#exclusive === undefined &&
      this.#file !== undefined &&
      this.#sync.lost === undefined &&
      this.#voidVersion === undefined &&
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
    await this.#changes.drained();
    await this.#cleaned;
    if (this.#voidVersion !== undefined) {
      await this.cool();
      await this.remember();
    }
    if (producer !== undefined && !this.#hasProducers) {
      this.#sync.begin(this.#file);
      await this.#sync.done();
      // From now on nothing in the file counts that no producer is known to have brought.
      await this.#options.save(this.#changes.snapshot(true));
      this.#hasProducers = true;
    }
    if (this.#file !== undefined) return;
    const known = this.settled;
    const { file, size } = await this.#options.openFile(known);
    this.#file = file;
    this.amend(this.#changes.found(known, size));
  }

  /** Once this is remembered, what the log has of appends that were refused is void. */
  #passVoid(): void {
    const version = (this.#voidVersion ?? -1) + 1;
    if (version > this.settled.version) this.#changes.amend({ version });
  }

  #settle(count: number): void {
    this.#sync.written();
    this.#changes.settle(count);
    this.#options.settled();
  }

  /** The log says first where the bytes will be, and when they are there, that they count. */
  async #makeLarge(change: Change): Promise<void> {
    const { append, before } = change;
    while (this.#changes.pending[0] !== change) {
      const [first] = this.#changes.pending;
      // It was refused together with one before it.
      if (first === undefined) return;
      await first.made.catch(ignore);
    }
    const file = this.#file as AppendFile;
    const parts = [append.bytes];
    try {
      await this.#log({ ...this.#recordOf(change), intent: true });
    } catch (error) {
      this.refused(error);
      return;
    }
    this.#options.logged();
    const written = writeAtEnd(file, before.size, parts).then(async () => {
      try {
        if (this.#options.isDurable) await this.#options.sync(file);
        await this.#log(this.#recordOf(change));
      } catch (error) {
        await takeBack(file, before.size, parts);
        throw error;
      }
    });
    await written.then(() => this.#settle(1), ignore);
    if (this.#changes.pending.length > 0) this.#void(written);
  }

  /** Refuses appends that are in the log, which is made void before the next one. */
  #void(cleaned: Promise<unknown>): void {
    this.#options.log.withdraw(this);
    this.#voidVersion = this.#changes.version;
    this.#cleaned = cleaned.catch((error) => this.#changes.refuse(storageFailure(error)));
    // Soon, because a server that is killed before would make them after all; what fails is tried again.
    this.checkpoint().catch(ignore);
  }

  #log(record: StreamRecord): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#options.log.append(record, NO_BYTES, {
        file: undefined,
        committed: () => resolve(),
        refused: reject,
      });
    });
  }

  #recordOf({ append, before, after }: Change): StreamRecord {
    const { fingerprint: file, location: path } = this.#options;
    return recordOf({ file, path }, append, before, after);
  }
}

/** The next append finds out what is in the file by now. */
function asBusy(error: unknown): never {
  if (!(error instanceof StorageError)) throw error;
  throw new AppendBusyError('another program has written to the file', { cause: error });
}

function ignore(): void {}
