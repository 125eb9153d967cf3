import { isCoded } from '../answer/tap.ts';
import { InvalidSourceError } from '../errors.ts';
import type { FetchInit } from '../fetch.ts';
import { BodyStream } from './body-stream.ts';
import {
  answerSource,
  BytesSource,
  type Chunks,
  isAsyncIterable,
  isWebStream,
  nameOf,
  PulledStream,
  type Source,
  sourceOf,
} from './source.ts';

const LENGTH = /^\d+$/;

/** Bytes, or text, that are there as a whole. */
export type Bytes = string | Uint8Array | Blob;

/**
 * What can be sent. A `Response` sends its body, with its type and length. A function is
 * called for each attempt; what it gives can be sent again when a redirect or a retry needs that.
 */
export type Body = Bytes | Chunks | Response | (() => Bytes | Chunks);

/** What a fetch can be given. */
export type Content = Bytes | BodyStream;

/** A body, ready to be sent. */
export interface Payload {
  content: Content;
  /** Its type, if it has one by itself. */
  type: string | undefined;
  /** What it is coded in, if it was received so. */
  coding?: string | undefined;
}

export function isBytes(value: unknown): value is Bytes {
  return typeof value === 'string' || value instanceof Uint8Array || value instanceof Blob;
}

/** Not by its class: undici, for example, has its own. */
export function isResponse(value: unknown): value is Response {
  const { status, headers, body } = Object(value);
  return typeof status === 'number' && typeof headers?.get === 'function' && body !== undefined;
}

/** Whether it can be sent any number of times. */
export function isRepeatable(body: Body): boolean {
  return isBytes(body) || typeof body === 'function';
}

/** @throws {InvalidSourceError} when it cannot be sent */
export function assertBody(body: unknown): asserts body is Body {
  const isBody =
    isBytes(body) ||
    typeof body === 'function' ||
    isResponse(body) ||
    isWebStream(body) ||
    isAsyncIterable(body);
  if (isBody) return;
  const isForm = body instanceof FormData || body instanceof URLSearchParams;
  const hint = isForm ? ': multipart() and form() make forms' : '';
  throw new InvalidSourceError(`${nameOf(body)} cannot be sent${hint}`);
}

/**
 * Makes a body ready to be sent.
 *
 * @param declared the length of a stream, if the application says it
 */
export function payloadOf(body: Body, declared?: number): Payload {
  if (typeof body === 'function') {
    const made = body();
    if (isBytes(made)) return payloadOf(made);
    assertBody(made);
    // The first source is here already.
    let first: Source | undefined = sourceOf(made);
    const make = () => {
      const source = first ?? openSource(body);
      first = undefined;
      return source;
    };
    return { content: new BodyStream(make, { length: declared, isRepeatable: true }), type: undefined };
  }
  if (isBytes(body)) return { content: body, type: typeOf(body) };
  if (isResponse(body) && body.body === null) return { content: '', type: typeOf(body) };
  const length = lengthOf(body) ?? declared;
  const content = new BodyStream(() => openSource(body), { length });
  if (!isResponse(body) || !isCoded(body)) return { content, type: typeOf(body) };
  const [type, coding] = ['content-type', 'content-encoding'].map(
    (name) => body.headers.get(name) ?? undefined,
  );
  return { content, type, coding };
}

/** Opens a body as chunks. */
export function openSource(body: Body): Source {
  if (typeof body === 'function') {
    const made = body();
    assertBody(made);
    return openSource(made);
  }
  if (body instanceof Blob) return sourceOf(body.stream() as ReadableStream<Uint8Array>);
  if (isResponse(body)) return answerSource(body);
  if (typeof body === 'string') return new BytesSource(new TextEncoder().encode(body));
  return body instanceof Uint8Array ? new BytesSource(body) : sourceOf(body);
}

/** The type that it has by itself. An answer that is still coded has another one than it says. */
export function typeOf(body: Body): string | undefined {
  if (typeof body === 'string') return 'text/plain;charset=UTF-8';
  if (isResponse(body)) return isCoded(body) ? undefined : (body.headers.get('content-type') ?? undefined);
  return body instanceof Blob && body.type !== '' ? body.type : undefined;
}

/** Its length in bytes, if that is known. */
export function lengthOf(body: Body): number | undefined {
  if (typeof body === 'string') return new TextEncoder().encode(body).length;
  if (body instanceof Uint8Array) return body.length;
  if (body instanceof Blob) return body.size;
  return isResponse(body) ? answerLength(body) : undefined;
}

/** The `Content-Length` of an answer, if its body has that many bytes. */
export function answerLength(response: Response): number | undefined {
  const { headers } = response;
  // What was decoded has another length.
  const isDecoded = headers.has('content-encoding') && !isCoded(response);
  return isDecoded ? undefined : declaredLength(headers);
}

/** The `Content-Length` that headers declare, if it is one. */
export function declaredLength(headers: Headers): number | undefined {
  const length = headers.get('content-length') ?? '';
  return LENGTH.test(length) ? Number(length) : undefined;
}

/** @throws {TypeError} when it is no number of bytes */
export function assertLength(length: string): void {
  if (!LENGTH.test(length)) throw new TypeError(`a Content-Length is no number: ${length}`);
}

/** Safe to repeat without being asked (RFC 9110, section 9.2.2). */
const IDEMPOTENT = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE']);

/** Whether a request can be sent once more without being asked. */
export function canRepeat({ method, body }: FetchInit): boolean {
  return IDEMPOTENT.has(method) && canRepeatBody(body);
}

/** Whether {@link again} gives the same content. */
export function canRepeatBody(content: RequestInit['body']): boolean {
  return content instanceof BodyStream ? content.isRepeatable : !isWebStream(content);
}

/** The same content once more, from its beginning; nothing when it can be sent only once. */
export function again(content: RequestInit['body']): RequestInit['body'] {
  return content instanceof BodyStream ? content.again() : content;
}

/** Content as a stream, which can be watched while it is sent. */
export function streamed(content: Content): BodyStream {
  if (content instanceof BodyStream) return content;
  return new BodyStream(() => openSource(content), { length: lengthOf(content), isRepeatable: true });
}

/** Compresses what a source makes. */
export type Compress = (source: Source) => Source;

/**
 * Compresses content. What is in memory is compressed there, so that its length is
 * known and it can be sent again; the rest is compressed while it is sent.
 */
export async function gzipped(content: Content, compress: Compress): Promise<Content> {
  if (typeof content === 'string' || content instanceof Uint8Array) {
    return new Uint8Array(await new Response(streamOf(compress(openSource(content)))).arrayBuffer());
  }
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
export const compressed: Compress = (source) =>
  sourceOf(
    streamOf(source).pipeThrough(new CompressionStream('gzip') as TransformStream<Uint8Array, Uint8Array>),
  );

function streamOf(source: Source): PulledStream {
  return new PulledStream(
    () => source.next(),
    (reason) => source.end(reason),
  );
}
