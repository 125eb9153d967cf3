import type { SearchEndReason, SearchMatch } from '../../wire/page-requests.ts';
import { SearchResults } from './search-results.ts';
import { type Search, SearchRefusedError, type SearchText } from './search-stream.ts';

/** How many matches are kept. */
const MAX_MATCHES = 20_000;

/** How long after new bytes it is searched for more, in milliseconds. */
const GROWN_MS = 500;

/** A line that is being written was searched in part: it is searched again from so many bytes before. */
const AGAIN_BYTES = 64 * 1024;

/** How a search stands: at work, through for now (`limit`: there are more matches than are kept), or without success. */
export type SearchState =
  | { kind: 'searching' }
  | { kind: 'done'; end: Exclude<SearchEndReason, 'invalid'> }
  | { kind: 'invalid'; detail: string }
  | { kind: 'failed'; detail: string };

/** The search for one text in the whole file, from a position outward, and in what comes. */
export class FileSearch {
  readonly text: SearchText;
  readonly results: SearchResults;
  readonly #search: Search;
  readonly #changed: () => void;
  readonly #maxMatches: number;
  readonly #leave = new AbortController();
  #state: SearchState = { kind: 'searching' };
  #size = 0;
  #isRunning = false;
  /** Whether all that was there was searched once: then what comes is searched, too, also after a failure. */
  #isThrough = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /**
   * Begins at once.
   *
   * @param changed called when there is something new
   */
  constructor(search: Search, text: SearchText, from: number, changed: () => void, maxMatches = MAX_MATCHES) {
    this.#search = search;
    this.text = text;
    this.results = new SearchResults(from);
    this.#changed = changed;
    this.#maxMatches = maxMatches;
    void this.#run(from, 'both');
  }

  get state(): SearchState {
    return this.#state;
  }

  /** Notes that the file has so many bytes: what is new is searched, too. */
  grown(size: number): void {
    this.#size = size;
    this.#goOnSoon();
  }

  /** Ends it. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#leave.abort();
  }

  async #run(from: number, direction: 'both' | 'forward'): Promise<void> {
    const { signal } = this.#leave;
    const { results } = this;
    this.#isRunning = true;
    try {
      const limit = Math.max(1, this.#maxMatches - results.count);
      let hasEnded = false;
      // What was found in a line that was being written may be elsewhere by now, or nowhere.
      let openLine = direction === 'forward' ? results.openLineStart : undefined;
      const foundInIt: SearchMatch[] = [];
      const [, wasSearched] = results.searched;
      for await (const line of this.#search(this.text, { from, direction, limit }, signal)) {
        if (signal.aborted) return;
        if (openLine !== undefined && 'at' in line && line.lineStart <= openLine) {
          if (line.at >= openLine) foundInIt.push(line);
          continue;
        }
        // A search that ends early has not looked again at all of it: what is known of it stays.
        if (openLine !== undefined && ('at' in line || ('end' in line && line.searched[1] >= wasSearched))) {
          results.replaceFrom(openLine, foundInIt);
          openLine = undefined;
        }
        if ('at' in line) results.add(line);
        else if ('progress' in line) results.noteSearched(line.progress);
        else {
          hasEnded = true;
          results.noteSearched(line.searched);
          this.#isThrough = line.end === 'complete';
          this.#state =
            line.end === 'invalid'
              ? { kind: 'invalid', detail: line.detail ?? '' }
              : { kind: 'done', end: line.end };
        }
        this.#changed();
      }
      if (!hasEnded) throw new Error('the answer was cut off');
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof SearchRefusedError && error.retryMs !== undefined) {
        this.#runLater(() => this.#run(from, direction), error.retryMs);
        return;
      }
      this.#state = { kind: 'failed', detail: (error as Error).message };
      this.#changed();
      return;
    } finally {
      this.#isRunning = false;
    }
    this.#goOnSoon();
  }

  #goOnSoon(): void {
    const [, end] = this.results.searched;
    const isUnderWay = this.#isRunning || this.#timer !== undefined;
    if (!this.#isThrough || this.#size <= end || isUnderWay || this.#leave.signal.aborted) return;
    this.#runLater(() => this.#run(Math.max(0, end - AGAIN_BYTES), 'forward'), GROWN_MS);
  }

  #runLater(run: () => Promise<void>, delayMs: number): void {
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      void run();
    }, delayMs);
  }
}
