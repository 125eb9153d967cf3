import { setMaxListeners } from 'node:events';
import type { Duplex, Readable, Writable } from 'node:stream';

const ABORTED = 'This operation was aborted';

/** Destroys `stream` with the signal's reason when it aborts; lets go of the signal when the stream closes. */
export function destroyOnAbort(stream: Readable | Writable | Duplex, signal: AbortSignal | undefined): void {
  if (signal === undefined) return;
  // Streams take any value for an error, but for those that are false; the reason is passed on as it is.
  const abort = () => stream.destroy((signal.reason || new DOMException(ABORTED, 'AbortError')) as Error);
  if (signal.aborted) {
    abort();
    return;
  }
  // However many share one: that is no leak.
  setMaxListeners(0, signal);
  signal.addEventListener('abort', abort, { once: true });
  stream.once('close', () => signal.removeEventListener('abort', abort));
}
