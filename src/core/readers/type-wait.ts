/** Those who wait until it is known of which content type a file is to which nothing has come. */
export class TypeWait {
  readonly #waiting = new Set<() => void>();

  /** Lets them go on. */
  over(): void {
    for (const settle of this.#waiting) settle();
  }

  /** Resolves when it is over, or the time is, or `signal` aborts. Never rejects. */
  wait(timeoutMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const settle = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', settle);
        this.#waiting.delete(settle);
        resolve();
      };
      const timer = setTimeout(settle, timeoutMs);
      signal.addEventListener('abort', settle);
      this.#waiting.add(settle);
      if (signal.aborted) settle();
    });
  }
}
