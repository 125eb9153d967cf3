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
  const waiting = { wake: () => {} };
  const wake = () => waiting.wake();
  readable.on('readable', wake).on('end', wake).on('error', wake).on('close', wake);
  const next = async () => {
    for (;;) {
      const chunk: Buffer | null = readable.read();
      // A view, not the Buffer: its `slice` and `toString` are others.
      if (chunk !== null) return new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.length);
      if (readable.readableEnded) return undefined;
      if (readable.destroyed) throw errorOf(readable.errored);
      await new Promise<void>((resolve) => {
        waiting.wake = resolve;
      });
      waiting.wake = () => {};
    }
  };
  const stream = new PulledStream(next, () => void readable.destroy());
  readable.once(
    'close',
    whenCollected(stream, () => readable.destroy()),
  );
  return stream;
}
