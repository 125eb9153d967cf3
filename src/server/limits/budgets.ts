/**
 * Of how many clients a budget is known, and of as many that came before them: those that were not seen for longest are
 * forgotten, all together, which is for their good.
 */
const MAX_CLIENTS = 25_000;

interface Budget {
  left: number;
  /** When that was so, in terms of `performance.now()`. */
  atMs: number;
}

/** What each client may do, at some rate, and so much at a time when it was quiet before. */
export class Budgets {
  readonly #perSecond: number;
  readonly #burst: number;
  #recent = new Map<string, Budget>();
  /** Those that came before. */
  #older = new Map<string, Budget>();

  constructor({ perSecond, burst }: { perSecond: number; burst: number }) {
    this.#perSecond = perSecond;
    this.#burst = burst;
  }

  /** Notes that a client does it. @returns false when it may not, and nothing is noted */
  spend(client: string): boolean {
    const now = performance.now();
    const budget = this.#recent.get(client) ?? this.#begin(client, now);
    const left = this.#leftOf(budget);
    if (left < 1) return false;
    budget.left = left - 1;
    budget.atMs = now;
    return true;
  }

  #begin(client: string, atMs: number): Budget {
    if (this.#recent.size >= MAX_CLIENTS) {
      this.#older = this.#recent;
      this.#recent = new Map();
    }
    const budget = this.#older.get(client) ?? { left: this.#burst, atMs };
    this.#recent.set(client, budget);
    return budget;
  }

  #leftOf({ left, atMs }: Budget): number {
    return Math.min(this.#burst, left + ((performance.now() - atMs) / 1000) * this.#perSecond);
  }
}
