import { Readable } from 'node:stream';

/** A readable that counts the bytes that are read of it, also when they are read as text. */
export class CountingReadable extends Readable {
  #readBytes = 0;

  /**
   * How many bytes were read; what was read as text counts as that has it.
   * Where the bytes are no text in the encoding that may be too many.
   */
  protected get readBytes(): number {
    return this.#readBytes;
  }

  /** However it is read, what is read is emitted. */
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
}
