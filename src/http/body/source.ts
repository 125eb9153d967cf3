import { InvalidSourceError } from '../errors.ts';

/** Chunks of bytes, or of text. A Node `Readable` is an async iterable. */
export type Chunks = ReadableStream<Uint8Array> | AsyncIterable<Uint8Array | string>;

/** Bytes that are made one chunk at a time. */
export interface Source {
  /** Resolves with the next chunk, or undefined at the end. Only one call at a time. */
  next(): Promise<Uint8Array | undefined>;
  /** Lets go of what makes the bytes, also of what is stuck. Never throws. */
  end(reason: unknown): void;
}

/**
 * A stream that is read when it is asked, one chunk at a time. Who holds it can ask
 * without the machinery of streams, which costs as much again.
 */
export class PulledStream extends ReadableStream<Uint8Array> {
  readonly #next: () => Promise<Uint8Array | undefined>;
  readonly #state: { isRead: boolean };

  constructor(
    next: () => Promise<Uint8Array | undefined>,
    cancel: (reason: unknown) => void,
    start?: (controller: ReadableStreamDefaultController<Uint8Array>) => void,
  ) {
    const state = { isRead: false };
    super(
      {
        ...(start && { start }),
        async pull(controller) {
          state.isRead = true;
          const chunk = await next();
          if (chunk === undefined) controller.close();
          else controller.enqueue(chunk);
        },
        cancel,
      },
      { highWaterMark: 0 },
    );
    this.#next = next;
    this.#state = state;
  }

  /**
   * Gives the next chunk, or undefined at the end; only for who has locked the stream, one call at a time. There is
   * none when the stream was read as others are: it may hold a chunk that its reader did not wait for.
   */
  get next(): (() => Promise<Uint8Array | undefined>) | undefined {
    return this.#state.isRead ? undefined : this.#next;
  }
}

const registry = new FinalizationRegistry<() => void>((callback) => callback());

/**
 * Calls `callback` some time after nobody can reach `object` any more. The callback must not reach it, either.
 *
 * @returns forgets the callback
 */
export function whenCollected(object: WeakKey, callback: () => void): () => void {
  const token = {};
  registry.register(object, callback, token);
  return () => void registry.unregister(token);
}

const encoder = new TextEncoder();

/** @throws {InvalidSourceError} when it is neither, or somebody else reads it */
export function sourceOf(chunks: Chunks): Source {
  return isWebStream(chunks) ? new WebSource(chunks) : new IteratedSource(chunks);
}

/**
 * The body of an answer; one without a body has no bytes.
 *
 * @throws {InvalidSourceError} when somebody else reads it, or has read of it
 */
export function answerSource({ body, bodyUsed }: Response): Source {
  if (bodyUsed) throw new InvalidSourceError('the body was read by somebody else');
  return body === null ? new BytesSource() : sourceOf(body);
}

/** Not by its class: polyfills have their own. */
export function isWebStream(value: unknown): value is ReadableStream<Uint8Array> {
  return typeof Object(value).getReader === 'function';
}

export function isAsyncIterable(value: unknown): value is AsyncIterable<Uint8Array | string> {
  return typeof Object(value)[Symbol.asyncIterator] === 'function';
}

/** What an error message calls a value. */
export function nameOf(value: unknown): string {
  if (value === null) return 'null';
  return typeof value === 'object' ? Object.prototype.toString.call(value) : typeof value;
}

/** @throws {InvalidSourceError} for what is neither bytes nor text */
function bytesOf(chunk: unknown): Uint8Array {
  if (chunk instanceof Uint8Array) return chunk;
  if (typeof chunk === 'string') return encoder.encode(chunk);
  throw new InvalidSourceError(`a chunk of the body is ${nameOf(chunk)}`);
}

/** Bytes that are there, if there are any. */
export class BytesSource implements Source {
  #bytes: Uint8Array | undefined;

  constructor(bytes?: Uint8Array) {
    this.#bytes = bytes;
  }

  async next(): Promise<Uint8Array | undefined> {
    const bytes = this.#bytes;
    this.#bytes = undefined;
    return bytes;
  }

  end(): void {
    this.#bytes = undefined;
  }
}

class WebSource implements Source {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly next: () => Promise<Uint8Array | undefined>;

  constructor(stream: ReadableStream<Uint8Array>) {
    try {
      this.#reader = stream.getReader();
    } catch (cause) {
      throw new InvalidSourceError('the body is read by somebody else', { cause });
    }
    this.next = (stream instanceof PulledStream ? stream.next : undefined) ?? (() => this.#read());
  }

  end(reason: unknown): void {
    // It may have failed: that is told by `next`.
    this.#reader.cancel(reason).catch(() => {});
  }

  async #read(): Promise<Uint8Array | undefined> {
    const { done, value } = await this.#reader.read();
    return done ? undefined : bytesOf(value);
  }
}

/** What a Node stream has beside what every iterable has. */
interface NodeStream {
  destroy(): void;
  on(event: 'error', listener: () => void): void;
  off(event: 'error', listener: () => void): void;
  once(event: 'close', listener: () => void): void;
}

const ignore = () => {};

class IteratedSource implements Source {
  readonly #iterable: AsyncIterable<Uint8Array | string>;
  #iterator: AsyncIterator<Uint8Array | string> | undefined;

  constructor(iterable: AsyncIterable<Uint8Array | string>) {
    this.#iterable = iterable;
    if (!isNodeStream(iterable)) return;
    // It may fail before it is read, and Node ends the process for an error that nobody listens to. `next` tells it.
    iterable.on('error', ignore);
    iterable.once('close', () => iterable.off('error', ignore));
  }

  async next(): Promise<Uint8Array | undefined> {
    this.#iterator ??= this.#iterable[Symbol.asyncIterator]();
    const { done, value } = await this.#iterator.next();
    return done ? undefined : bytesOf(value);
  }

  end(): void {
    if (isNodeStream(this.#iterable)) {
      // Its iterator would wait for the chunk that is under way.
      this.#iterable.destroy();
      return;
    }
    this.#return().catch(ignore);
  }

  async #return(): Promise<void> {
    this.#iterator ??= this.#iterable[Symbol.asyncIterator]();
    await this.#iterator.return?.();
  }
}

function isNodeStream(value: object): value is AsyncIterable<Uint8Array | string> & NodeStream {
  return 'destroy' in value && typeof value.destroy === 'function' && 'on' in value && 'off' in value;
}
