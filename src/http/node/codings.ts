import { type Duplex, pipeline, Readable, Transform, type TransformCallback } from 'node:stream';
import { createBrotliDecompress, createGunzip, createGzip, createInflate, createInflateRaw } from 'node:zlib';
import type { Compress } from '../body/gzip.ts';
import { type Source, sourceOf } from '../body/source.ts';

/** What is asked for when the request does not say. */
export const ACCEPTED_CODINGS = 'gzip, deflate, br';

/** More than one is rare, and each may multiply the length by a thousand. */
const MAX_CODINGS = 3;

const OPTIONS = { chunkSize: 65_536 };

/**
 * The body of an answer, decoded; as it is if the answer has a coding that is not known here. Fails for a body
 * that is cut: nothing here flushes what zlib calls incomplete.
 */
export function decoded(body: Readable, contentEncoding: string | undefined): Readable {
  const codings = (contentEncoding ?? '')
    .toLowerCase()
    .split(',')
    .map((coding) => coding.trim());
  const coded = codings.filter((coding) => coding !== '' && coding !== 'identity').reverse();
  if (coded.length === 0 || coded.length > MAX_CODINGS || !coded.every((coding) => coding in DECODERS))
    return body;
  const decoders = coded.map((coding) => (DECODERS[coding] as () => Duplex)());
  // What fails is told by the last one.
  return pipeline([body, ...decoders], () => {}) as unknown as Readable;
}

const gunzip = () => createGunzip(OPTIONS);

const DECODERS: Readonly<Record<string, () => Duplex>> = {
  gzip: gunzip,
  'x-gzip': gunzip,
  deflate: () => new Inflate(),
  br: () => createBrotliDecompress(OPTIONS),
};

/** "deflate" is zlib's format by the standard, and the bare one by many servers: the first byte tells. */
class Inflate extends Transform {
  #decoder: Duplex | undefined;

  override _transform(chunk: Buffer, encoding: BufferEncoding, callback: TransformCallback): void {
    this.#decoder ??= this.#begin(chunk);
    this.#decoder.write(chunk, encoding, () => callback());
  }

  override _read(size: number): void {
    this.#decoder?.resume();
    super._read(size);
  }

  override _flush(callback: TransformCallback): void {
    if (this.#decoder === undefined) callback(new Error('unexpected end of file'));
    else this.#decoder.once('end', () => callback()).end();
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#decoder?.destroy();
    callback(error);
  }

  #begin(chunk: Buffer): Duplex {
    const isZlib = ((chunk[0] as number) & 0x0f) === 8;
    const decoder = isZlib ? createInflate(OPTIONS) : createInflateRaw(OPTIONS);
    decoder.on('error', (error) => this.destroy(error));
    decoder.on('data', (bytes: Buffer) => {
      if (!this.push(bytes)) decoder.pause();
    });
    return decoder;
  }
}

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
