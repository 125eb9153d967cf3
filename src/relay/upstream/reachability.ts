import { UpstreamError, UpstreamTimeoutError } from '../../wire/errors.ts';

/** For how long a server is believed to be away that has not answered once, in milliseconds. It doubles. */
const MIN_AWAY_MS = 1000;

/** The longest time for which a server is believed to be away, in milliseconds. */
const MAX_AWAY_MS = 30_000;

/** Whether an error says that a server was not reached, and nothing of what it has. */
export function isOfTheWay(error: unknown): boolean {
  return error instanceof UpstreamError || error instanceof UpstreamTimeoutError;
}

/** Whether a server answers, as far as the last requests to it tell. */
export class Reachability {
  #failures = 0;
  #awayUntilMs = 0;

  /** Whether it has not answered the last time. */
  get isDoubted(): boolean {
    return this.#failures > 0;
  }

  /** Whether that was a moment ago: it is not asked again. */
  get isAway(): boolean {
    return performance.now() < this.#awayUntilMs;
  }

  /** Notes that it has answered. */
  answered(): void {
    this.#failures = 0;
    this.#awayUntilMs = 0;
  }

  /** Notes that it has not: for a while, and longer from one time to the next. */
  failed(): void {
    if (this.isAway) return;
    this.#awayUntilMs = performance.now() + Math.min(MAX_AWAY_MS, MIN_AWAY_MS * 2 ** this.#failures);
    this.#failures++;
  }
}
