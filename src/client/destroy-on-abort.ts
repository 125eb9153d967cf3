import type { Duplex, Readable, Writable } from 'node:stream';

/** Destroys `stream` with the signal's reason when it aborts; lets go of the signal when the stream closes. */
export function destroyOnAbort(stream: Readable | Writable | Duplex, signal: AbortSignal | undefined): void {
  if (signal === undefined) return;
  const abort = () => stream.destroy(asError(signal.reason));
  if (signal.aborted) {
    abort();
    return;
  }
  signal.addEventListener('abort', abort, { once: true });
  stream.once('close', () => signal.removeEventListener('abort', abort));
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error('aborted', { cause: reason });
}
