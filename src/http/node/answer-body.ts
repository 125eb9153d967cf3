import type { Readable } from 'node:stream';
import { PulledStream, whenCollected } from '../body/source.ts';

/**
 * The bytes of a Node stream as a web stream, read when its reader asks for them. The stream is destroyed when the
 * reader cancels, and when nobody can read it any more: Node would keep its connection for ever.
 *
 * @param errorOf what a reader is told when the stream has failed, or was destroyed before its end
 */
export function answerBody(
  readable: Readable,
  errorOf: (cause: Error | null) => unknown,
): ReadableStream<Uint8Array> {
  // All that the listeners reach of the web stream, and only while somebody waits at it.
  const waiting: { wake: (() => void) | undefined } = { wake: undefined };
  const wake = () => {
    waiting.wake?.();
    waiting.wake = undefined;
  };
  /** One or two: what somebody waits for, and what has come with it. */
  const chunks: Buffer[] = [];
  // Given as it comes to whoever waits. Were all of it asked for by `read`, each two that come at once would be copied.
  readable.pause();
  readable.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    if (waiting.wake === undefined) readable.pause();
    wake();
  });
  readable.on('end', wake).on('error', wake).on('close', wake);
  const next = async () => {
    for (;;) {
      if (chunks.length === 0) readTogether(readable, chunks);
      const chunk = chunks.shift();
      // A view, not the Buffer: its `slice` and `toString` are others.
      if (chunk !== undefined) return new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.length);
      if (readable.readableEnded) return undefined;
      if (readable.destroyed) throw errorOf(readable.errored);
      await new Promise<void>((resolve) => {
        waiting.wake = resolve;
        readable.resume();
      });
    }
  };
  const stream = new PulledStream(next, () => void readable.destroy());
  readable.once(
    'close',
    whenCollected(stream, () => readable.destroy()),
  );
  return stream;
}

/** Reads what has come, of which many small pieces become one; `data` adds them to `chunks`. */
function readTogether(readable: Readable, chunks: Buffer[]): void {
  // Up to Node 24 in one read, and after that piece by piece.
  for (let left = readable.readableLength; left > 0; ) left -= readable.read().length;
  if (chunks.length > 1) chunks.splice(0, chunks.length, Buffer.concat(chunks));
}
