import type { ResourcePath } from '../storage/resource-path.ts';
import type { Root } from '../storage/root.ts';

interface Waiter {
  /** In terms of `performance.now()`. */
  deadline: number;
  settle: (isThere: boolean) => void;
}

/** One for each path that is waited for. */
interface Place {
  resource: ResourcePath;
  waiters: Set<Waiter>;
}

/** Looks now and then for files that are waited for: one timer for all of them, and each path once. */
export class Arrivals {
  readonly #root: Root;
  readonly #intervalMs: number;
  readonly #places = new Map<string, Place>();
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  /** @param intervalMs time between two looks, that of looking aside */
  constructor(root: Root, intervalMs: number) {
    this.#root = root;
    this.#intervalMs = intervalMs;
  }

  /**
   * Resolves when a file is at the path, with true, or when the time is over, with false.
   *
   * @throws the signal's reason when it aborts
   */
  async wait(resource: ResourcePath, timeoutMs: number, signal: AbortSignal): Promise<boolean> {
    signal.throwIfAborted();
    if (this.#closed) return false;
    const { key } = resource;
    const place = this.#places.get(key) ?? { resource, waiters: new Set() };
    this.#places.set(key, place);
    let waiter: Waiter | undefined;
    let abort: (() => void) | undefined;
    try {
      return await new Promise<boolean>((resolve, reject) => {
        abort = () => reject(signal.reason);
        signal.addEventListener('abort', abort);
        waiter = { deadline: performance.now() + timeoutMs, settle: resolve };
        place.waiters.add(waiter);
        this.#arm();
      });
    } finally {
      signal.removeEventListener('abort', abort as () => void);
      place.waiters.delete(waiter as Waiter);
      if (place.waiters.size === 0) this.#places.delete(key);
    }
  }

  /** Tells that a file is at the path. */
  notify(resource: ResourcePath): void {
    for (const { settle } of this.#places.get(resource.key)?.waiters ?? []) settle(true);
  }

  /** Nobody waits any longer. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    for (const { waiters } of this.#places.values()) for (const { settle } of waiters) settle(false);
  }

  #arm(): void {
    this.#timer ??= setTimeout(() => void this.#look(), this.#intervalMs).unref();
  }

  async #look(): Promise<void> {
    for (const { resource, waiters } of this.#places.values()) {
      const isThere = await this.#root.stat(resource).then(
        ({ kind }) => kind === 'file',
        () => false,
      );
      const now = performance.now();
      for (const { deadline, settle } of waiters) {
        if (isThere || now >= deadline) settle(isThere);
      }
    }
    this.#timer = undefined;
    if (this.#places.size > 0 && !this.#closed) this.#arm();
  }
}
