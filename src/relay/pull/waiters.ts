import type { ResourcePath } from '../../wire/resource-path.ts';

/** Those who wait for a file that is not there. */
export class Waiters {
  #untilMs = 0;
  #count = 0;

  /** How long it is waited for, in milliseconds: as long as somebody does. */
  get waitMs(): number {
    return this.#count > 0 ? Math.max(0, this.#untilMs - performance.now()) : 0;
  }

  /** Adds one, who waits for so long at most, until the signal aborts. */
  add(waitMs: number, signal: AbortSignal): void {
    this.#untilMs = Math.max(this.#untilMs, performance.now() + waitMs);
    this.#count++;
    signal.addEventListener('abort', () => this.#count--, { once: true });
  }
}

/** Those who wait, by path. */
export class WaitingPaths {
  readonly #waiters = new Map<string, Waiters>();

  /** Those of a path, also when there are none yet. */
  at({ key }: ResourcePath): Waiters {
    const waiters = this.#waiters.get(key) ?? new Waiters();
    this.#waiters.set(key, waiters);
    return waiters;
  }

  /**
   * Forgets a path for which nobody waits.
   *
   * @returns whether that is so
   */
  letGo({ key }: ResourcePath): boolean {
    const isOver = (this.#waiters.get(key)?.waitMs ?? 0) === 0;
    if (isOver) this.#waiters.delete(key);
    return isOver;
  }
}
