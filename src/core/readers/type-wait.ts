import { anywhere } from './cutting.ts';
import type { Reader, Sink } from './reader.ts';

/**
 * Resolves when the type of what a session brings is said, bytes come without one, nothing will come, the time is over,
 * or `signal` aborts. Never rejects.
 *
 * @param join makes a reader of what the session brings
 */
export function untilTyped(
  join: (sink: Sink) => Reader,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve) => {
    const settle = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', settle);
      reader.leave();
      resolve();
    };
    const reader = join({
      cutting: anywhere,
      encode: () => [],
      write: () => {
        settle();
        return false;
      },
      waiting: () => undefined,
      typed: settle,
      end: settle,
      fail: settle,
    });
    const timer = setTimeout(settle, timeoutMs);
    signal.addEventListener('abort', settle);
    reader.drained();
    if (signal.aborted) settle();
  });
}
