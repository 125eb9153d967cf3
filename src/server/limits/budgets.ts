/** Of how many clients a budget is known: those that were seen longest ago are forgotten, which is for their good. */
const MAX_CLIENTS = 50_000;

interface Budget {
  left: number;
  /** When that was so, in terms of `performance.now()`. */
  atMs: number;
}

/** What each client may do, at some rate, and so much at a time when it was quiet before. */
export class Budgets {
  readonly #perSecond: number;
  readonly #burst: number;
  readonly #budgets = new Map<string, Budget>();

  constructor({ perSecond, burst }: { perSecond: number; burst: number }) {
    this.#perSecond = perSecond;
    this.#burst = burst;
  }

  /** Whether a client may do it once more by now. */
  has(client: string): boolean {
    const budget = this.#budgets.get(client);
    return budget === undefined || this.#leftOf(budget) >= 1;
  }

  /** Notes that a client does it. @returns false when it may not, and nothing is noted */
  spend(client: string): boolean {
    const now = performance.now();
    const budget = this.#budgets.get(client);
    if (budget === undefined) {
      if (this.#budgets.size >= MAX_CLIENTS)
        this.#budgets.delete(this.#budgets.keys().next().value as string);
      this.#budgets.set(client, { left: this.#burst - 1, atMs: now });
      return true;
    }
    const left = this.#leftOf(budget);
    if (left < 1) return false;
    budget.left = left - 1;
    budget.atMs = now;
    return true;
  }

  #leftOf({ left, atMs }: Budget): number {
    return Math.min(this.#burst, left + ((performance.now() - atMs) / 1000) * this.#perSecond);
  }
}
