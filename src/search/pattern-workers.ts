import { Worker } from 'node:worker_threads';
import { BLOCK_BYTES, type Finder, StalledError } from './file-search.ts';
import type { SearchedPart, WantedMatches } from './matches.ts';
import type { Pattern, SearchQuery } from './search-query.ts';

/** What a worker is made with. */
export interface WorkerData {
  blocks: readonly [SharedArrayBuffer, SharedArrayBuffer];
}

/** Tells a worker what to search for: what a regular expression matches, or a literal text. */
export type SoughtRequest = { kind: 'pattern'; pattern: Pattern } | { kind: 'literal'; query: SearchQuery };

/** Has a worker look through a part of what is in a block. It answers with the numbers of the matches. */
export interface FindRequest {
  kind: 'find';
  block: number;
  /** How much there is in the block. */
  length: number;
  start: number;
  end: number;
  wanted: WantedMatches;
}

/** How much memory a thread may have beside its blocks, in MiB. */
const MAX_HEAP_MB = 128;

/** Times of {@link PatternWorkers}. */
export interface PatternWorkersOptions {
  /** How long a regular expression may take for one part, in milliseconds. */
  stallMs: number;
  /** How long a worker waits for the next search, in milliseconds. */
  idleMs: number;
}

/**
 * Threads in which regular expressions are applied: one may take longer than the universe will last, and nothing but the end
 * of its thread stops it. And in which long texts are searched for.
 */
export class PatternWorkers {
  readonly #idle: PatternWorker[] = [];
  readonly #options: PatternWorkersOptions;

  constructor(options: PatternWorkersOptions) {
    this.#options = options;
  }

  /**
   * One that searches, until {@link PatternWorker.release}.
   *
   * @param signal ends it in the middle of a match
   */
  take(sought: SoughtRequest, signal: AbortSignal): PatternWorker {
    const worker = this.#idle.pop() ?? new PatternWorker(this.#options, this.#idle);
    if (worker.hasEnded) return this.take(sought, signal);
    worker.begin(sought, signal);
    return worker;
  }

  /** Ends those that wait. */
  async close(): Promise<void> {
    await Promise.all(this.#idle.splice(0).map((worker) => worker.terminate()));
  }
}

/** What becomes of a part that is being looked through. */
interface Answer {
  resolve: (numbers: Float64Array) => void;
  reject: (error: Error) => void;
}

/** One of the threads. */
export class PatternWorker implements Finder {
  readonly blocks: readonly [Buffer, Buffer];
  readonly #worker: Worker;
  readonly #options: PatternWorkersOptions;
  readonly #others: PatternWorker[];
  #idleTimer: NodeJS.Timeout | undefined;
  /** Of the part that it looks through. */
  #answer: Answer | undefined;
  #hasEnded = false;
  #signal: AbortSignal | undefined;

  /** @param others those that wait, to which it comes back */
  constructor(options: PatternWorkersOptions, others: PatternWorker[]) {
    const blocks = [new SharedArrayBuffer(BLOCK_BYTES), new SharedArrayBuffer(BLOCK_BYTES)] as const;
    this.blocks = [Buffer.from(blocks[0]), Buffer.from(blocks[1])];
    this.#options = options;
    this.#others = others;
    const workerData: WorkerData = { blocks };
    this.#worker = new Worker(new URL('./pattern-worker.js', import.meta.url), {
      workerData,
      resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MB },
    });
    this.#worker.unref();
    this.#worker.on('message', (numbers: Float64Array) => this.#settle()?.resolve(numbers));
    // Of a regular expression that needs too much memory, or stack.
    this.#worker.on('error', (cause) => this.#ended(cause));
    this.#worker.on('exit', () => this.#ended());
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** Called when it is taken. */
  begin(sought: SoughtRequest, signal: AbortSignal): void {
    clearTimeout(this.#idleTimer);
    this.#signal = signal;
    signal.addEventListener('abort', this.#abort);
    this.#send(sought);
  }

  find(block: number, { bytes, start, end }: SearchedPart, wanted: WantedMatches): Promise<Float64Array> {
    return new Promise((resolve, reject) => {
      if (this.#hasEnded) {
        reject(new StalledError('the thread has ended'));
        return;
      }
      const timer = setTimeout(() => void this.terminate(), this.#options.stallMs);
      const over =
        <T>(settle: (value: T) => void) =>
        (value: T) => {
          clearTimeout(timer);
          settle(value);
        };
      this.#answer = { resolve: over(resolve), reject: over(reject) };
      this.#send({ kind: 'find', block, length: bytes.length, start, end, wanted });
    });
  }

  /** To be called once for each {@link PatternWorkers.take}, when nothing is looked through any more. */
  release(): void {
    this.#signal?.removeEventListener('abort', this.#abort);
    if (this.#hasEnded) return;
    this.#others.push(this);
    this.#idleTimer = setTimeout(() => {
      this.#others.splice(this.#others.indexOf(this), 1);
      void this.terminate();
    }, this.#options.idleMs).unref();
  }

  /** Ends it, also in the middle of a match. Who waits for that gets a {@link StalledError}. */
  async terminate(): Promise<void> {
    this.#hasEnded = true;
    clearTimeout(this.#idleTimer);
    await this.#worker.terminate();
  }

  readonly #abort = (): void => {
    if (this.#answer !== undefined) void this.terminate();
  };

  #send(request: SoughtRequest | FindRequest): void {
    this.#worker.postMessage(request);
  }

  #ended(cause?: unknown): void {
    this.#hasEnded = true;
    this.#settle()?.reject(new StalledError('the thread has ended', { cause }));
  }

  #settle(): Answer | undefined {
    const answer = this.#answer;
    this.#answer = undefined;
    return answer;
  }
}
