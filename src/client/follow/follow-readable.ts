import { Readable } from 'node:stream';

/** Chunks below this size are joined while others wait to be read: each one takes some hundred bytes of overhead. */
const SMALL_BYTES = 4096;

/** Joined chunks are passed on when they have reached this size. */
const JOINED_BYTES = 64 * 1024;

/** Longest time that a small chunk is held back. */
const MAX_HELD_MS = 10;

/** A source of bytes that can be paused. */
export interface PausableSource {
  pause(): unknown;
  resume(): unknown;
}

/**
 * A readable of bytes that come in chunks of any size. Pauses the source while its buffer is
 * full, counts what is read, and can fail after the bytes before the error were read, which
 * Node's own `destroy` would discard.
 */
export class FollowReadable extends Readable {
  #source: PausableSource | undefined;
  #readBytes = 0;
  /** Small chunks that are held back to be joined. */
  #held: Buffer[] = [];
  #heldBytes = 0;
  #timer: NodeJS.Timeout | undefined;
  #failure: Error | undefined;

  /** Sets the source to be paused while the buffer is full, and resumed by reading. */
  protected readFrom(source: PausableSource | undefined): void {
    this.#source = source;
  }

  /**
   * How many bytes were read. What was read as text counts by its length in that encoding:
   * if the bytes are not valid in it, that may be too many.
   */
  protected get readBytes(): number {
    return this.#readBytes;
  }

  /** Takes the next bytes. They are readable at once, unless they are few and others already wait. */
  protected receive(bytes: Buffer): void {
    if (bytes.length >= SMALL_BYTES || this.readableLength === 0) {
      this.flush();
      this.#push(bytes);
      return;
    }
    // A copy: a view would keep all of the memory that it was cut from.
    this.#held.push(Buffer.from(bytes));
    this.#heldBytes += bytes.length;
    if (this.#heldBytes >= JOINED_BYTES) this.flush();
    else this.#timer ??= setTimeout(() => this.flush(), MAX_HELD_MS);
  }

  /** Makes readable what is held back. */
  protected flush(): void {
    const bytes = Buffer.concat(this.#held);
    this.#dropHeld();
    if (bytes.length > 0) this.#push(bytes);
  }

  /** Ends after what was received. */
  protected finish(): void {
    this.flush();
    this.push(null);
  }

  /** Fails once what was received is read. */
  protected failLate(error: Error): void {
    this.flush();
    this.#failure = error;
    this.#failIfDrained();
  }

  override read(size?: number): Buffer | null {
    const bytes = super.read(size);
    this.#failIfDrained();
    return bytes;
  }

  /** Counts what is read: whichever way that is done, it is emitted. */
  override emit(event: string | symbol, ...args: unknown[]): boolean {
    if (event === 'data') {
      this.#readBytes += Buffer.byteLength(args[0] as Buffer | string, this.readableEncoding ?? 'utf8');
    }
    return super.emit(event, ...args);
  }

  override unshift(chunk: Buffer | string, encoding?: BufferEncoding): void {
    this.#readBytes -= Buffer.byteLength(chunk, encoding);
    super.unshift(chunk, encoding);
  }

  override _read(): void {
    this.#source?.resume();
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#dropHeld();
    callback(error);
  }

  #push(bytes: Buffer): void {
    if (!this.push(bytes)) this.#source?.pause();
  }

  #dropHeld(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#held = [];
    this.#heldBytes = 0;
  }

  #failIfDrained(): void {
    if (this.#failure !== undefined && this.readableLength === 0) this.destroy(this.#failure);
  }
}
