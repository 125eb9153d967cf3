/** A file in memory for what reads files in blocks. It gives no more at a time than it is told to. */
export class MemoryFile {
  bytes: Buffer;
  readonly stat: { readonly fingerprint: string };
  readonly #maxReadBytes: number;

  constructor(
    content: string | Buffer,
    { fingerprint = 'file', maxReadBytes = Number.POSITIVE_INFINITY } = {},
  ) {
    this.bytes = Buffer.from(content);
    this.stat = { fingerprint };
    this.#maxReadBytes = maxReadBytes;
  }

  readInLine(position: number, length: number): Buffer {
    return this.bytes.subarray(position, position + length);
  }

  async readInto(block: Buffer, position: number): Promise<number> {
    const end = position + Math.min(block.length, this.#maxReadBytes);
    return this.bytes.copy(block, 0, position, end);
  }
}
