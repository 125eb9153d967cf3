import { tapped } from '../answer/tap.ts';
import type { Middleware } from '../fetch.ts';
import { onAbort } from '../on-abort.ts';

/**
 * Lets at most `limit` requests run at a time, in the order in which they were sent; the others
 * wait. A place is free again when the answer's body has ended, or was cancelled.
 */
export function concurrency(limit: number): Middleware {
  if (!(Number.isInteger(limit) && limit >= 1))
    throw new RangeError('the limit must be an integer, 1 or more');
  const places = new Places(limit);
  return (next) => async (url, init) => {
    await places.take(init.signal);
    let response: Response;
    try {
      response = await next(url, init);
    } catch (error) {
      places.free();
      throw error;
    }
    return tapped(response, { end: () => places.free() });
  };
}

class Places {
  #free: number;
  readonly #waiting = new Set<() => void>();

  constructor(count: number) {
    this.#free = count;
  }

  /** @throws the signal's reason */
  async take(signal: AbortSignal | null | undefined): Promise<void> {
    signal?.throwIfAborted();
    if (this.#free > 0) {
      this.#free--;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const enter = () => {
        forget();
        resolve();
      };
      this.#waiting.add(enter);
      const forget = onAbort(signal, () => {
        this.#waiting.delete(enter);
        reject(signal?.reason);
      });
    });
  }

  free(): void {
    const [first] = this.#waiting;
    if (first === undefined) {
      this.#free++;
    } else {
      this.#waiting.delete(first);
      first();
    }
  }
}
