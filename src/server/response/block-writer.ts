import type { ServerResponse } from 'node:http';
import type { BlockLoan, OpenFile } from '../../core/open-file.ts';
import { StorageError } from '../../wire/errors.ts';

/** Largest block: larger ones do not stay in the processor's cache. */
const MAX_BLOCK_BYTES = 512 * 1024;

/** How many there are at most: one is written while the next one is read. */
const MAX_BLOCKS = 2;

/** A client that takes longer for a block, in milliseconds, gets small ones. */
const SLOW_MS = 1000;

/** Where bytes are counted. */
export interface BytesNumbers {
  bytes: number;
}

/** What was read. */
interface Filled {
  block: Buffer;
  /** How much of it. */
  bytes: number;
}

/**
 * Writes files to a response in blocks that are reused once the system has taken their content. It begins with one
 * small block; a client that takes them quickly gets larger ones, and a second one.
 */
export class BlockWriter {
  readonly #response: ServerResponse;
  readonly #loan: BlockLoan;
  readonly #numbers: BytesNumbers;
  /** Blocks that wait for the file. */
  readonly #free: Buffer[] = [];
  #count = 0;
  /** How large the next one is. */
  #blockBytes: number;
  /** How many writes the system has not taken yet. */
  #writing = 0;
  #isStopped = false;
  /** Called when a write was taken, or will never be. */
  #wake: () => void = () => undefined;

  /**
   * @param loan released by its owner, when nothing is written any more
   * @param numbers where it is counted how much is read of files
   */
  constructor(response: ServerResponse, loan: BlockLoan, numbers: BytesNumbers) {
    this.#numbers = numbers;
    this.#response = response;
    this.#loan = loan;
    this.#blockBytes = loan.smallBytes;
  }

  /** Writes bytes that are in none of the blocks. */
  write(bytes: Buffer): void {
    this.#write(bytes, () => undefined);
  }

  /**
   * Writes what a file has from `start` up to but not including `end`. Resolves when all of it is handed over.
   *
   * @throws when it cannot be read, or, {@link isStopped}, nobody takes it any more
   */
  async writeRange(file: OpenFile, start: number, end: number): Promise<void> {
    let reading = this.#read(file, start, end);
    for (let at = start; at < end; ) {
      const { block, bytes } = await reading;
      at += bytes;
      this.#numbers.bytes += bytes;
      // Before this one is written: another thread reads.
      if (at < end) reading = this.#read(file, at, end);
      const since = performance.now();
      this.#write(block.subarray(0, bytes), () => this.#giveBack(block, performance.now() - since));
    }
  }

  /**
   * Resolves when the system has taken everything.
   *
   * @throws when it never will: {@link isStopped}
   */
  async taken(): Promise<void> {
    this.#assertGoingOn();
    while (this.#writing > 0) {
      await this.#change();
      this.#assertGoingOn();
    }
  }

  /** Whether the client is gone. */
  get isStopped(): boolean {
    return this.#isStopped;
  }

  /** Gives up, since the client is gone. */
  stop(): void {
    this.#isStopped = true;
    this.#wake();
  }

  #write(bytes: Buffer, taken: () => void): void {
    this.#writing++;
    this.#response.write(bytes, (error) => {
      this.#writing--;
      taken();
      if (error) this.stop();
      else this.#wake();
    });
  }

  async #read(file: OpenFile, at: number, end: number): Promise<Filled> {
    const block = await this.#blockFor(end - at);
    const bytes = await file.readInto(block.subarray(0, Math.min(block.length, end - at)), at);
    this.#assertGoingOn();
    if (bytes === 0) throw new StorageError('the file has become shorter while it was read');
    return { block, bytes };
  }

  /** A block to read so many bytes into; not necessarily all of them. */
  async #blockFor(bytes: number): Promise<Buffer> {
    for (;;) {
      this.#assertGoingOn();
      const free = this.#free.pop();
      if (free !== undefined) return this.#grown(free, bytes);
      if (this.#hasRoomForOne()) {
        this.#count++;
        return Buffer.allocUnsafeSlow(this.#blockBytes);
      }
      await this.#change();
    }
  }

  /** A larger one in its place, if there is use and room for it. */
  #grown(block: Buffer, bytes: number): Buffer {
    const { length } = block;
    if (length >= Math.min(bytes, MAX_BLOCK_BYTES) || !this.#loan.extend(length)) return block;
    this.#blockBytes = 2 * length;
    return Buffer.allocUnsafeSlow(this.#blockBytes);
  }

  /** The first, small one needs no loan. */
  #hasRoomForOne(): boolean {
    if (this.#count === 0) return true;
    const isLarge = this.#blockBytes === MAX_BLOCK_BYTES;
    return isLarge && this.#count < MAX_BLOCKS && this.#loan.extend(MAX_BLOCK_BYTES);
  }

  #giveBack(block: Buffer, tookMs: number): void {
    if (tookMs < SLOW_MS) {
      this.#blockBytes = Math.max(this.#blockBytes, block.length);
      this.#free.push(block);
      return;
    }
    this.#count--;
    this.#blockBytes = this.#loan.smallBytes;
    this.#loan.reduce(block.length);
  }

  #assertGoingOn(): void {
    if (this.#isStopped) throw new Error('nobody takes it any more');
  }

  /** Resolves when a write was taken, or will never be. */
  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}
