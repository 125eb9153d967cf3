import { type Duplex, pipeline, Readable, Transform, type TransformCallback } from 'node:stream';
import type { Compress } from '../body/body.ts';
import { type Source, sourceOf } from '../body/source.ts';

/** What is asked for when the request does not say. */
export const ACCEPTED_CODINGS = 'gzip, deflate, br';

/** More than one is rare, and each may multiply the length by a thousand. */
const MAX_CODINGS = 3;

const OPTIONS = { chunkSize: 65_536 };

/** Loaded when it is needed: most bodies are not coded. */
const zlib = () => process.getBuiltinModule('node:zlib');

const gunzip = () => zlib().createGunzip(OPTIONS);

/** What decodes a body that begins with such a byte. */
const DECODERS = new Map<string, (firstByte: number) => Duplex>([
  ['gzip', gunzip],
  ['x-gzip', gunzip],
  // zlib's format by the standard, and the bare one by many servers.
  [
    'deflate',
    (firstByte) =>
      (firstByte & 0x0f) === 8 ? zlib().createInflate(OPTIONS) : zlib().createInflateRaw(OPTIONS),
  ],
  ['br', () => zlib().createBrotliDecompress(OPTIONS)],
]);

/**
 * The body of an answer, decoded; as it is if the answer has a coding that is not known here. Fails for a body
 * that is cut: nothing here flushes what zlib calls incomplete.
 *
 * @throws {RangeError} for too many codings
 */
export function decoded(body: Readable, contentEncoding: string | undefined): Readable {
  const codings = (contentEncoding ?? '')
    .toLowerCase()
    .split(',')
    .map((coding) => coding.trim())
    .filter((coding) => coding !== '' && coding !== 'identity')
    .reverse();
  if (codings.length === 0 || !codings.every((coding) => DECODERS.has(coding))) return body;
  if (codings.length > MAX_CODINGS) throw new RangeError(`the body has ${codings.length} codings`);
  const decoders = codings.map(
    (coding) => new Decoder(DECODERS.get(coding) as (firstByte: number) => Duplex),
  );
  // What fails is told by the last one.
  return pipeline([body, ...decoders], () => {}) as unknown as Readable;
}

/**
 * Decodes a body, and ends when the body does: zlib's own streams end where the code does, and what follows would
 * keep its connection. What follows is left out. A body of no bytes is one, whatever it is said to be coded in.
 */
class Decoder extends Transform {
  readonly #make: (firstByte: number) => Duplex;
  #decoder: Duplex | undefined;

  constructor(make: (firstByte: number) => Duplex) {
    super();
    this.#make = make;
  }

  override _transform(chunk: Buffer, encoding: BufferEncoding, callback: TransformCallback): void {
    this.#decoder ??= this.#begin(chunk[0] as number);
    if (this.#decoder.readableEnded) callback();
    else this.#decoder.write(chunk, encoding, () => callback());
  }

  override _read(size: number): void {
    this.#decoder?.resume();
    super._read(size);
  }

  override _flush(callback: TransformCallback): void {
    if (this.#decoder === undefined || this.#decoder.readableEnded) callback();
    else this.#decoder.once('end', () => callback()).end();
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#decoder?.destroy();
    callback(error);
  }

  #begin(firstByte: number): Duplex {
    const decoder = this.#make(firstByte);
    decoder.on('error', (error) => this.destroy(error));
    decoder.on('data', (bytes: Buffer) => {
      if (!this.push(bytes)) decoder.pause();
    });
    return decoder;
  }
}

/**
 * With zlib: Node's `CompressionStream` takes all it is given, and throws where nothing catches it when it is
 * cancelled.
 */
export const compressed: Compress = (source) => {
  const plain = Readable.from(chunksOf(source), { objectMode: false });
  const gzip = sourceOf(pipeline(plain, zlib().createGzip(), () => {}));
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
