import { UnreadError } from '../wire/errors.ts';
import { isNearlyThere } from './pull/copying.ts';
import type { Pull } from './pull/pull.ts';

/** Time between two looks at pulls that nobody reads. */
export const SWEEP_MS = 1000;

/** Options of {@link IdlePulls}. */
export interface IdleOptions {
  /** How long a pull goes on that nobody reads, in milliseconds. */
  idleMs: number;
  /** Whether it goes on without an end. */
  goesOnForNobody: boolean;
}

/** Pulls that nobody reads. */
export class IdlePulls {
  readonly #options: IdleOptions;
  /** Since when. */
  readonly #since = new Map<Pull, number>();

  constructor(options: IdleOptions) {
    this.#options = options;
  }

  /** Notes that one is read, or is over. */
  read(pull: Pull): void {
    this.#since.delete(pull);
  }

  /**
   * Stops what nobody has read for a while, unless little is missing.
   *
   * @param isWanted whether others need the place of one
   */
  stop(pulls: Iterable<Pull>, isWanted: (pull: Pull) => boolean): void {
    const now = performance.now();
    for (const pull of pulls) {
      if (pull.readerCount > 0) {
        this.#since.delete(pull);
        continue;
      }
      const since = this.#since.get(pull) ?? now;
      this.#since.set(pull, since);
      if (!pull.isAwaited && this.#isTooIdle(pull, now - since, isWanted(pull))) {
        void pull.stop(new UnreadError('nobody reads it'));
      }
    }
  }

  #isTooIdle(pull: Pull, idleMs: number, isWanted: boolean): boolean {
    if (isWanted) return idleMs >= SWEEP_MS;
    if (idleMs < this.#options.idleMs || isNearlyThere(pull.fetched)) return false;
    return pull.state.phase === 'waiting' || !this.#options.goesOnForNobody;
  }
}
