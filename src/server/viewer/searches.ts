import { Slots } from '../../core/slots.ts';
import {
  FileSearch,
  type SearchedFile,
  type SearchRange,
  type SearchStep,
} from '../../search/file-search.ts';
import { isQuick, LiteralFinder } from '../../search/literal-finder.ts';
import { PatternWorkers, type SoughtRequest } from '../../search/pattern-workers.ts';
import { patternOf, type SearchQuery } from '../../search/search-query.ts';
import { ServerBusyError, ServerClosingError, TooManyRequestsError } from '../../wire/errors.ts';

/** How many may search at the same time: each has some 2 MiB, and reads one block after the other. */
const MAX_SEARCHES = 8;

/** How many of them may be of one client. */
const MAX_PER_CLIENT = 4;

/** How many threads apply regular expressions, and look for long texts: the other searches for these wait. */
const MAX_WORKERS = 2;

/** How long a search takes at most, in milliseconds; it says up to where it has come. */
const SEARCH_MS = 60_000;

/** How long a regular expression may take for a mebibyte, in milliseconds. */
const STALL_MS = 10_000;

/** How long a thread waits for the next search, in milliseconds. */
const IDLE_MS = 30_000;

/** Bounds of {@link Searches}, each with a default. */
export interface SearchesOptions {
  maxSearches?: number;
  maxPerClient?: number;
  searchMs?: number;
  stallMs?: number;
}

/** The searches that are under way, of everybody. */
export class Searches {
  readonly #maxSearches: number;
  readonly #maxPerClient: number;
  readonly #searchMs: number;
  readonly #workers: PatternWorkers;
  readonly #slots = new Slots(MAX_WORKERS);
  readonly #closing = new AbortController();
  #count = 0;
  readonly #counts = new Map<string, number>();

  constructor({
    maxSearches = MAX_SEARCHES,
    maxPerClient = MAX_PER_CLIENT,
    searchMs = SEARCH_MS,
    stallMs = STALL_MS,
  }: SearchesOptions = {}) {
    this.#maxSearches = maxSearches;
    this.#maxPerClient = maxPerClient;
    this.#searchMs = searchMs;
    this.#workers = new PatternWorkers({ stallMs, idleMs: IDLE_MS });
  }

  /** How many are under way. */
  get count(): number {
    return this.#count;
  }

  /**
   * Counts one that is to begin.
   *
   * @param client whose it is; undefined: of one that is not limited by itself
   * @returns to be called once, when it is over
   * @throws {ServerBusyError} when there are as many as there may be
   * @throws {TooManyRequestsError} when as many of them are of the client
   * @throws {ServerClosingError} after {@link close}
   */
  enter(client: string | undefined): () => void {
    this.#closing.signal.throwIfAborted();
    if (this.#count >= this.#maxSearches) {
      throw new ServerBusyError('as many search as the server lets search at the same time', 'searches');
    }
    const own = client === undefined ? 0 : (this.#counts.get(client) ?? 0);
    if (own >= this.#maxPerClient) {
      throw new TooManyRequestsError('there are too many searches at the same time', 'searches');
    }
    this.#count++;
    if (client !== undefined) this.#counts.set(client, own + 1);
    return () => this.#over(client);
  }

  #over(client: string | undefined): void {
    this.#count--;
    if (client === undefined) return;
    const left = (this.#counts.get(client) as number) - 1;
    if (left > 0) this.#counts.set(client, left);
    else this.#counts.delete(client);
  }

  /**
   * Searches, as the steps are taken.
   *
   * @throws {InvalidPatternError} for a regular expression that is none
   * @throws what {@link FileSearch.steps} throws
   */
  async *search(
    file: SearchedFile,
    query: SearchQuery,
    range: Omit<SearchRange, 'timeMs'>,
  ): AsyncGenerator<SearchStep, void, undefined> {
    const signal = AbortSignal.any([range.signal, this.#closing.signal]);
    const whole: SearchRange = { ...range, signal, timeMs: this.#searchMs };
    if (isQuick(query)) {
      yield* new FileSearch(file, new LiteralFinder(query), whole).steps();
      return;
    }
    const sought: SoughtRequest =
      query.mode === 'literal' ? { kind: 'literal', query } : { kind: 'pattern', pattern: patternOf(query) };
    const giveBack = await this.#turn(signal);
    const worker = this.#workers.take(sought, signal);
    try {
      yield* new FileSearch(file, worker, whole).steps();
    } finally {
      worker.release();
      giveBack();
    }
  }

  /** Ends all, and takes no more. Idempotent. */
  close(): Promise<void> {
    this.#closing.abort(new ServerClosingError('the server is shutting down'));
    return this.#workers.close();
  }

  /** Resolves when there may be another thread at work, with what is to be called when it is not any more. */
  #turn(signal: AbortSignal): Promise<() => void> {
    return new Promise((resolve, reject) => {
      const turn = () => new Promise<void>((giveBack) => resolve(giveBack));
      this.#slots.run(turn, { signal }).catch(reject);
    });
  }
}
