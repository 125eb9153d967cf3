import { BodyLengthError } from '../errors.ts';
import { PulledStream, type Source } from './source.ts';

/** Is told of a body while it is sent. */
export interface BodyWatcher {
  /** It is sent once more, from its beginning. */
  repeated(): void;
  /** The next chunk is being made. */
  making(): void;
  made(bytes: number): void;
  /** No more of it is made: that was all, or nobody wants the rest. */
  ended(): void;
}

export interface BodyStreamOptions {
  /** Bytes that the source must give, if that is known. */
  length?: number | undefined;
  /** Whether each call of `make` gives the same bytes. */
  isRepeatable?: boolean;
}

/** Larger chunks are sent in pieces, between which it can be seen that they are taken. */
const MAX_PIECE_BYTES = 262_144;

const NOTHING: Uint8Array = new Uint8Array();

/** How many empty chunks in a row may come before others have their turn. */
const MAX_EMPTY_CHUNKS = 100;

/**
 * A body that is made while it is sent: one chunk at a time, when the one before was
 * taken. It can be ended from outside, whoever reads it.
 */
export class BodyStream extends PulledStream {
  /** Bytes that it has, if that is known. */
  readonly length: number | undefined;
  /** Whether it can be made anew. */
  readonly isRepeatable: boolean;
  watcher: BodyWatcher | undefined;
  readonly #make: () => Source;
  readonly #source: Source;
  readonly #controller: ReadableStreamDefaultController<Uint8Array>;
  #state: 'open' | 'finished' | 'stopped' | 'broken' = 'open';
  /** What is left of the last chunk. */
  #chunk = NOTHING;
  #madeBytes = 0;
  #failure: { readonly reason: unknown } | undefined;

  /**
   * @param make opens the source; called now, and for each repetition
   * @throws what it throws
   */
  constructor(make: () => Source, { length, isRepeatable = false }: BodyStreamOptions = {}) {
    let controller!: ReadableStreamDefaultController<Uint8Array>;
    super(
      () => this.#pull(),
      (reason) => this.stop(reason),
      (given) => {
        controller = given;
      },
    );
    this.#controller = controller;
    this.#make = make;
    this.#source = make();
    this.length = length;
    this.isRepeatable = isRepeatable;
  }

  /** Bytes that were taken. */
  get sentBytes(): number {
    return this.#madeBytes;
  }

  get isFinished(): boolean {
    return this.#state === 'finished';
  }

  /** What it failed with by itself, if it did: the source's error, or its wrong length. */
  get failure(): { readonly reason: unknown } | undefined {
    return this.#failure;
  }

  /** The same body, from its beginning, with the same watcher; undefined when it cannot be made anew. */
  again(): BodyStream | undefined {
    if (!this.isRepeatable) return undefined;
    const again = new BodyStream(this.#make, { length: this.length, isRepeatable: true });
    again.watcher = this.watcher;
    // What becomes of this one concerns nobody any more.
    this.watcher = undefined;
    again.watcher?.repeated();
    return again;
  }

  /** Breaks it, unless all of it was made: its reader fails with `reason`, and its source is ended. */
  end(reason: unknown): void {
    const wasOpen = this.#state === 'open' || this.#state === 'stopped';
    this.stop(reason);
    if (!wasOpen) return;
    this.#state = 'broken';
    this.#controller.error(reason);
  }

  /** Gives nothing more, and no end: for an exchange that goes on without the rest. Its source is ended. */
  stop(reason: unknown): void {
    if (this.#state !== 'open') return;
    this.#state = 'stopped';
    this.#source.end(reason);
    this.watcher?.ended();
  }

  async #pull(): Promise<Uint8Array | undefined> {
    if (this.#state === 'finished') return undefined;
    if (this.#chunk.length === 0) this.#chunk = (await this.#next()) ?? NOTHING;
    const piece = this.#chunk.subarray(0, MAX_PIECE_BYTES);
    this.#chunk = this.#chunk.subarray(piece.length);
    const madeBytes = this.#madeBytes + piece.length;
    // The last piece waits for the end: were there more, the other side would not know.
    const isLast = piece.length === 0 || madeBytes === this.length;
    if (piece.length > 0 && isLast && (await this.#next()) !== undefined) this.#fail(this.#tooLong());
    if (this.#state === 'open' && piece.length > 0) {
      this.#madeBytes = madeBytes;
      this.watcher?.made(piece.length);
    }
    if (this.#state === 'open' && isLast) this.#finish();
    if (this.#failure !== undefined) throw this.#failure.reason;
    // Not one promise for all: it would hold every stream that waits for it.
    if (this.#state === 'stopped' || this.#state === 'broken') return new Promise(() => {});
    return piece.length > 0 ? piece : undefined;
  }

  /** The next chunk, none when the stream is no longer open. */
  async #next(): Promise<Uint8Array | undefined> {
    this.watcher?.making();
    try {
      for (let emptyChunks = 0; ; emptyChunks++) {
        const chunk = await this.#source.next();
        if (this.#state !== 'open' || chunk === undefined) return undefined;
        if (this.length !== undefined && this.#madeBytes + chunk.length > this.length) throw this.#tooLong();
        if (chunk.length > 0) return chunk;
        if (emptyChunks >= MAX_EMPTY_CHUNKS) await new Promise((resolve) => setTimeout(resolve));
      }
    } catch (reason) {
      if (this.#state === 'open') this.#fail(reason);
      return undefined;
    }
  }

  #finish(): void {
    if (this.length !== undefined && this.#madeBytes < this.length) {
      this.#fail(new BodyLengthError(`the body has ${this.#madeBytes} bytes, not ${this.length}`));
      return;
    }
    this.#state = 'finished';
    this.watcher?.ended();
  }

  #fail(reason: unknown): void {
    this.#failure = { reason };
    this.end(reason);
  }

  #tooLong(): BodyLengthError {
    return new BodyLengthError(`the body has more than ${this.length} bytes`);
  }
}
