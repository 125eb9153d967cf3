import { type Content, openSource } from './body.ts';
import { BodyStream } from './body-stream.ts';
import { type Source, sourceOf } from './source.ts';

/**
 * Compresses content. What is in memory is compressed there, so that its length is
 * known and it can be sent again; the rest is compressed while it is sent.
 */
export async function gzipped(content: Content): Promise<Content> {
  if (content instanceof BodyStream) {
    const isRepeatable = content.isRepeatable;
    let first: BodyStream | undefined = content;
    const make = () => {
      const body = first ?? (content.again() as BodyStream);
      first = undefined;
      return new GzipSource(body);
    };
    return new BodyStream(make, { isRepeatable });
  }
  if (content instanceof Blob) {
    return new BodyStream(() => new GzipSource(new BodyStream(() => openSource(content))), {
      isRepeatable: true,
    });
  }
  return new Response(new Blob([content]).stream().pipeThrough(compression())).blob();
}

class GzipSource implements Source {
  readonly #body: BodyStream;
  readonly #compressed: Source;

  constructor(body: BodyStream) {
    this.#body = body;
    this.#compressed = sourceOf(body.pipeThrough(compression()));
  }

  async next(): Promise<Uint8Array | undefined> {
    try {
      return await this.#compressed.next();
    } catch (error) {
      throw this.#body.failure === undefined ? error : this.#body.failure.reason;
    }
  }

  end(reason: unknown): void {
    this.#body.end(reason);
    this.#compressed.end(reason);
  }
}

function compression(): TransformStream<Uint8Array, Uint8Array> {
  return new CompressionStream('gzip') as TransformStream<Uint8Array, Uint8Array>;
}
