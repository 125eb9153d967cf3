import { pipeline, Readable } from 'node:stream';
import { createGzip } from 'node:zlib';
import type { Compress } from '../body/gzip.ts';
import { type Source, sourceOf } from '../body/source.ts';

/** With zlib: Node's `CompressionStream` takes all it is given, and throws where nothing catches it when it is cancelled. */
export const compressed: Compress = (source) => {
  const plain = Readable.from(chunksOf(source), { objectMode: false });
  const gzip = sourceOf(pipeline(plain, createGzip(), () => {}));
  return {
    next: () => gzip.next(),
    end(reason) {
      source.end(reason);
      gzip.end(reason);
    },
  };
};

async function* chunksOf(source: Source): AsyncGenerator<Uint8Array> {
  for (let chunk = await source.next(); chunk !== undefined; chunk = await source.next()) yield chunk;
}
