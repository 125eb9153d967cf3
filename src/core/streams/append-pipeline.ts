import type { AppendFile } from '../../storage/append-file.ts';
import type { RedoLog } from '../../storage/redo-log.ts';
import { storageFailure } from '../../storage/storage-failure.ts';
import type { StreamState } from '../../storage/stream-state.ts';
import { takeBack, writeAtEnd } from '../write-at-end.ts';
import { judge, type StreamAppend } from './append-rules.ts';
import { type ProducerRequest, Producers } from './producers.ts';
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

/** An append that was let in and is not in the file yet. */
interface Operation {
  append: StreamAppend;
  before: StreamState;
  after: StreamState;
  producerBefore: ProducerRequest | undefined;
  written: () => void;
  refused: (error: unknown) => void;
}

/**
 * The way of appends into one stream. They are judged one after the other as
 * they come, each as if those before it were made; written down in the redo log,
 * those of all streams together; then written to the file, and count.
 */
export class AppendPipeline {
  readonly #options: PipelineOptions;
  /** With every append that was let in; … */
  #state: StreamState;
  /** … with those that are in the file. */
  #settled: StreamState;
  readonly #producers: Producers;
  /** Whether the sidecar says that there are any. */
  #hasProducers: boolean;
  #file: AppendFile | undefined;
  /** Those under way, in order. */
  #operations: Operation[] = [];
  /** Those of them that are in the log. */
  #logged: Operation[] = [];
  #writing: Promise<void> | undefined;
  /** The last sync for a checkpoint. */
  #synced: Promise<void> | undefined;
  /** Settles when what was let in by now is in the file, or refused. */
  #last: Promise<unknown> = Promise.resolve();
  /** Set while nothing is let in; settles when that is over. */
  #exclusive: Promise<unknown> | undefined;
  /** The highest version that the log may have of an append that was refused after all. */
  #voidVersion: number | undefined;

  constructor(options: PipelineOptions) {
    this.#options = options;
    this.#state = options.state;
    this.#settled = options.state;
    this.#producers = new Producers(options.state.producers);
    this.#hasProducers = options.state.producers !== undefined;
  }

  /** What is in the file, and counts; without the producers. */
  get settled(): StreamState {
    return this.#settled;
  }

  /** Whether the file is open to be appended to. */
  get isOpen(): boolean {
    return this.#file !== undefined;
  }

  /** The last request of a producer that was let in. */
  producer(id: string): ProducerRequest | undefined {
    return this.#producers.get(id);
  }

  /**
   * Appends all of it or nothing. Resolves when that is safe and readers can have it.
   *
   * @param assertFree throws when nothing may be appended at the moment
   * @returns the stream after it; undefined when it was made before
   * @throws what {@link judge} throws, and what the disk does
   */
  async append(append: StreamAppend, assertFree: () => void): Promise<StreamState | undefined> {
    // Looked at again after each wait: between the look and the judgement nothing may happen.
    let file = this.#readyFile(append);
    while (file === undefined) {
      assertFree();
      await (this.#exclusive ?? this.#exclusively(() => this.#prepare(append)));
      file = this.#readyFile(append);
    }
    assertFree();
    const after = judge(this.#state, this.#producers, this.#options.type, append);
    if (after === undefined) return this.#repeat(append, assertFree);
    const before = this.#last;
    const isLarge = append.bytes.length > MAX_LOGGED_BYTES;
    const made = new Promise<void>((resolve, reject) => {
      const operation = this.#letIn(append, after, resolve, reject);
      if (isLarge) void this.#exclusively(() => before.then(() => this.#makeLarge(operation, file)));
      else void this.#make(operation, file);
    });
    this.#last = made.catch(ignore);
    await made;
    return after;
  }

  /** The file, if an append may be let in at once. */
  #readyFile({ producer }: StreamAppend): AppendFile | undefined {
    const isReady =
      this.#exclusive === undefined &&
      this.#voidVersion === undefined &&
      (producer === undefined || this.#hasProducers);
    return isReady ? this.#file : undefined;
  }

  /** What it repeats may be under way, and be refused: then this is not a repetition. */
  async #repeat(append: StreamAppend, assertFree: () => void): Promise<StreamState | undefined> {
    await this.#last;
    const after = judge(this.#state, this.#producers, this.#options.type, append);
    return after === undefined ? undefined : this.append(append, assertFree);
  }

  /** Runs `action` while nothing is under way, and lets nothing in until it is done. */
  async quietly<T>(action: () => T | Promise<T>): Promise<T> {
    while (this.#exclusive !== undefined) await this.#exclusive;
    return this.#exclusively(async () => {
      await this.#last;
      return action();
    });
  }

  /** Changes what does not come through appends; while nothing is under way. */
  amend(change: Partial<StreamState>): void {
    this.#state = { ...this.#state, ...change };
    this.#settled = { ...this.#settled, ...change };
    this.#options.settled();
  }

  /** Makes what is in the file safe, and remembers it beside the file, so that the log is not needed for it. */
  async checkpoint(): Promise<void> {
    const state = await this.quietly(() => {
      this.#synced = this.#file && this.#options.sync(this.#file);
      return this.#snapshot();
    });
    await this.#synced;
    await this.#options.save(state);
  }

  /** As {@link checkpoint}; while nothing is under way. */
  async remember(): Promise<void> {
    if (this.#file !== undefined) await this.#options.sync(this.#file);
    await this.#options.save(this.#snapshot());
  }

  /** Lets the file go; the next append opens it again. While nothing is under way. */
  async cool(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    if (file === undefined) return;
    await this.#synced?.catch(ignore);
    try {
      await this.#options.sync(file);
    } finally {
      await file.close();
    }
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
    await this.#last;
    if (producer !== undefined && !this.#hasProducers) {
      // From now on nothing in the file counts that no producer is known to have brought.
      this.#hasProducers = true;
      await this.remember().catch((error) => {
        this.#hasProducers = false;
        throw error;
      });
    }
    if (this.#voidVersion !== undefined) {
      await this.cool();
      // From now on what the log has of the appends that were refused is void.
      this.amend({ version: this.#voidVersion + 1 });
      await this.remember();
      this.#voidVersion = undefined;
    }
    if (this.#file !== undefined) return;
    const { file, size } = await this.#options.openFile(this.#settled);
    this.#file = file;
    this.amend({ size });
  }

  #letIn(
    append: StreamAppend,
    after: StreamState,
    written: () => void,
    refused: (error: unknown) => void,
  ): Operation {
    const { producer } = append;
    const producerBefore = producer && this.#producers.get(producer.id);
    const operation = { append, before: this.#state, after, producerBefore, written, refused };
    this.#state = after;
    if (producer !== undefined) this.#producers.set(producer.id, producer);
    this.#operations.push(operation);
    return operation;
  }

  async #make(operation: Operation, file: AppendFile): Promise<void> {
    try {
      await this.#log(operation, operation.append.bytes);
    } catch (error) {
      this.#refuseFrom(operation, error);
      return;
    }
    // Else it was refused with one before it, though the log has it.
    if (!this.#operations.includes(operation)) return;
    this.#options.logged();
    this.#logged.push(operation);
    this.#writing ??= this.#write(file);
  }

  /** Writes what is in the log to the file: what came meanwhile together. */
  async #write(file: AppendFile): Promise<void> {
    // What the log has taken together is told one after the other in the same turn.
    await Promise.resolve();
    while (this.#logged.length > 0) {
      const operations = this.#logged;
      this.#logged = [];
      const [first] = operations as [Operation];
      try {
        const parts = operations.map(({ append }) => append.bytes).filter(({ length }) => length > 0);
        if (parts.length > 0) await writeAtEnd(file, first.before.size, parts);
        this.#settle(operations);
      } catch (error) {
        this.#voidFrom(first, error);
      }
    }
    this.#writing = undefined;
  }

  #settle(operations: readonly Operation[]): void {
    this.#operations.splice(0, operations.length);
    this.#settled = (operations.at(-1) as Operation).after;
    this.#options.settled();
    for (const { written } of operations) written();
  }

  /** The log says first where the bytes will be, and when they are there, that they count. */
  async #makeLarge(operation: Operation, file: AppendFile): Promise<void> {
    try {
      await this.#log(operation, NO_BYTES, { intent: true });
    } catch (error) {
      this.#refuseFrom(operation, error);
      return;
    }
    this.#options.logged();
    const start = operation.before.size;
    const parts = [operation.append.bytes];
    try {
      await writeAtEnd(file, start, parts);
      try {
        if (this.#options.isDurable) await this.#options.sync(file);
        await this.#log(operation, NO_BYTES);
      } catch (error) {
        await takeBack(file, start, parts);
        throw error;
      }
      this.#settle([operation]);
    } catch (error) {
      this.#voidFrom(operation, error);
    }
  }

  /** Refuses an append that is not in the log, and those after it, which were judged as if it were made. */
  #refuseFrom(operation: Operation, error: unknown): void {
    const at = this.#operations.indexOf(operation);
    if (at === -1) return;
    const refused = this.#operations.splice(at);
    for (const { append, producerBefore } of refused.toReversed()) {
      if (append.producer !== undefined) this.#producers.set(append.producer.id, producerBefore);
    }
    this.#state = operation.before;
    const failure = storageFailure(error);
    for (const { refused: tell } of refused) tell(failure);
  }

  /** Refuses appends that are in the log, which is made void before the next one. */
  #voidFrom(operation: Operation, error: unknown): void {
    this.#voidVersion = Math.max(this.#voidVersion ?? 0, this.#state.version);
    this.#logged = [];
    this.#refuseFrom(operation, error);
  }

  #log({ append, before, after }: Operation, payload: Buffer, kind?: { intent: true }): Promise<void> {
    const { fingerprint: file, location: path } = this.#options;
    const record = recordOf({ file, path }, append, before, after);
    return this.#options.log.append({ ...record, ...kind }, payload);
  }

  #snapshot(): StreamState {
    const { producers: _, ...state } = this.#settled;
    return this.#hasProducers ? { ...state, producers: this.#producers.entries() } : state;
  }
}

function ignore(): void {}
