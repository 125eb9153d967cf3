import { BodyLengthError } from '../errors.ts';
import {
  type Body,
  type Bytes,
  isBytes,
  isRepeatable,
  lengthOf,
  openSource,
  type Payload,
  typeOf,
} from './body.ts';
import { BodyStream } from './body-stream.ts';
import type { Source } from './source.ts';

export interface FileOptions {
  /** Default: what the source says, else `application/octet-stream`. */
  contentType?: string;
  /** Bytes of the source, when it cannot tell itself: bytes, a Blob and a `Response` with `Content-Length` can. */
  size?: number;
}

interface Part {
  head: string;
  body: Body;
  size: number | undefined;
  name: string;
}

const LINE_END = '\r\n';

/**
 * A multipart/form-data body (RFC 7578). When every part is there as a whole it is one
 * Blob, else a stream, whose length is known when those of all parts are.
 */
export class Form {
  readonly #boundary = `----httpfstream-${crypto.getRandomValues(new Uint32Array(4)).join('')}`;
  readonly #parts: Part[] = [];

  addField(name: string, value: string): void {
    this.#add(name, value, undefined, `name="${escaped(withLineEnds(name))}"`);
  }

  addFile(name: string, filename: string, body: Body, { contentType, size }: FileOptions = {}): void {
    const type = contentType ?? typeOfFile(body);
    if (/[\r\n]/.test(type)) throw new TypeError('the type of a file has a line end');
    if (size !== undefined && !(Number.isSafeInteger(size) && size >= 0))
      throw new RangeError('the size of a file must be an integer, 0 or more');
    const disposition = `name="${escaped(withLineEnds(name))}"; filename="${escaped(filename)}"`;
    this.#add(name, body, size, disposition, `Content-Type: ${type}${LINE_END}`);
  }

  payload(): Payload {
    const type = `multipart/form-data; boundary=${this.#boundary}`;
    const isWhole = this.#parts.every(
      ({ body, size }) => isBytes(body) && (size ?? lengthOf(body)) === lengthOf(body),
    );
    if (isWhole) return { content: this.#blob(type), type };
    const known = this.#parts.reduce(
      (sum, { head, size = Number.NaN }) => sum + textBytes(head) + size,
      textBytes(this.#tail),
    );
    const length = Number.isNaN(known) ? undefined : known;
    const make = () => new FormSource(this.#parts, this.#tail);
    const all = this.#parts.every(({ body }) => isRepeatable(body));
    return { content: new BodyStream(make, { length, isRepeatable: all }), type };
  }

  #add(name: string, body: Body, size: number | undefined, disposition: string, more = ''): void {
    const before = this.#parts.length === 0 ? '' : LINE_END;
    const head = `${before}--${this.#boundary}${LINE_END}Content-Disposition: form-data; ${disposition}${LINE_END}${more}${LINE_END}`;
    this.#parts.push({ name, head, body, size: size ?? lengthOf(body) });
  }

  get #tail(): string {
    return `${this.#parts.length === 0 ? '' : LINE_END}--${this.#boundary}--${LINE_END}`;
  }

  #blob(type: string): Blob {
    const pieces = this.#parts.flatMap(({ head, body }) => [head, body as Bytes]);
    return new Blob([...pieces, this.#tail], { type });
  }
}

/** Text is a file, too, but no plain text by that. */
function typeOfFile(body: Body): string {
  return (typeof body === 'string' ? undefined : typeOf(body)) ?? 'application/octet-stream';
}

/** As browsers do (HTML, "multipart/form-data encoding algorithm"). */
function escaped(name: string): string {
  return name.replaceAll('\r', '%0D').replaceAll('\n', '%0A').replaceAll('"', '%22');
}

/** Names of fields have whole line ends, those of files have what they have. */
function withLineEnds(name: string): string {
  return name.replace(/\r\n|\r|\n/g, LINE_END);
}

function textBytes(text: string): number {
  return lengthOf(text) as number;
}

/** The bytes of all parts, one after the other. */
class FormSource implements Source {
  /** Those of parts that were not begun; what is made anew is opened when its turn comes. */
  readonly #waiting: { part: Part; opened: Source | undefined }[];
  readonly #tail: string;
  #current: { source: Source; part: Part; bytes: number } | undefined;
  #isOver = false;

  constructor(parts: readonly Part[], tail: string) {
    this.#tail = tail;
    this.#waiting = [];
    // All of them, also when one cannot be sent, so that all of them are ended.
    let failure: { error: unknown } | undefined;
    for (const part of parts) {
      try {
        this.#waiting.push({ part, opened: isRepeatable(part.body) ? undefined : openSource(part.body) });
      } catch (error) {
        failure ??= { error };
      }
    }
    if (failure === undefined) return;
    this.end(failure.error);
    throw failure.error;
  }

  async next(): Promise<Uint8Array | undefined> {
    if (this.#current === undefined) return this.#begin();
    const { source, part } = this.#current;
    const chunk = await source.next();
    this.#current.bytes += chunk?.length ?? 0;
    const { bytes } = this.#current;
    const hasOtherSize =
      part.size !== undefined && (chunk === undefined ? bytes !== part.size : bytes > part.size);
    if (hasOtherSize) {
      throw new BodyLengthError(
        `the part ${part.name} has ${chunk === undefined ? bytes : 'more than'} ${part.size} bytes`,
      );
    }
    if (chunk !== undefined) return chunk;
    this.#current = undefined;
    return this.#begin();
  }

  end(reason: unknown): void {
    this.#isOver = true;
    this.#current?.source.end(reason);
    for (const { opened } of this.#waiting.splice(0)) opened?.end(reason);
  }

  /** The head of the next part, the tail after the last one, and then the end. */
  #begin(): Uint8Array | undefined {
    if (this.#isOver) return undefined;
    const next = this.#waiting.shift();
    if (next === undefined) {
      this.#isOver = true;
      return new TextEncoder().encode(this.#tail);
    }
    const { part, opened = openSource(part.body) } = next;
    this.#current = { source: opened, part, bytes: 0 };
    return new TextEncoder().encode(part.head);
  }
}
