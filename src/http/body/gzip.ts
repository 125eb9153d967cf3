import { CollectedBytes } from '../collected-bytes.ts';
import { type Content, streamed } from './body.ts';
import { BodyStream } from './body-stream.ts';
import { BytesSource, type Source, sourceOf } from './source.ts';

/** Compresses what a source makes. */
export type Compress = (source: Source) => Source;

/**
 * Compresses content. What is in memory is compressed there, so that its length is
 * known and it can be sent again; the rest is compressed while it is sent.
 */
export async function gzipped(content: Content, compress: Compress): Promise<Content> {
  if (typeof content === 'string')
    return collected(compress(new BytesSource(new TextEncoder().encode(content))));
  if (content instanceof Uint8Array) return collected(compress(new BytesSource(content)));
  let first: BodyStream | undefined = streamed(content);
  const { isRepeatable } = first;
  const plain = first;
  const make = () => {
    const body = first ?? plain.again();
    first = undefined;
    return compress(sourceOf(body as BodyStream));
  };
  return new BodyStream(make, { isRepeatable });
}

/** With what every platform has. */
export const compressed: Compress = (source) => {
  const plain = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const chunk = await source.next();
        if (chunk === undefined) controller.close();
        else controller.enqueue(chunk);
      },
      cancel: (reason) => source.end(reason),
    },
    { highWaterMark: 0 },
  );
  return sourceOf(
    plain.pipeThrough(new CompressionStream('gzip') as TransformStream<Uint8Array, Uint8Array>),
  );
};

async function collected(source: Source): Promise<Uint8Array> {
  const bytes = new CollectedBytes();
  for (let chunk = await source.next(); chunk !== undefined; chunk = await source.next()) bytes.append(chunk);
  return bytes.take();
}
