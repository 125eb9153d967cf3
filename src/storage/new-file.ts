import fs from 'node:fs';
import zlib from 'node:zlib';
import type { BlockPool } from './block-pool.ts';
import type { FileStat } from './file-io.ts';
import { storageFailure } from './storage-failure.ts';
import type { StoredFile } from './stored-file.ts';
import { AppendFile } from './stored-file.ts';

const COPY_BLOCK_BYTES = 1024 * 1024;

/** A file that is being filled and has no name in the root yet: all of it appears there at once, or nothing. */
export class NewFile extends AppendFile {
  readonly #name: string;
  #size = 0;

  /** @param name where it is until it is published, absolute */
  constructor(fd: number, stat: FileStat, name: string, blocks: BlockPool) {
    super(fd, stat, '', blocks);
    this.#name = name;
  }

  /** Bytes that were written. */
  get size(): number {
    return this.#size;
  }

  override async write(buffers: readonly Buffer[]): Promise<void> {
    try {
      await super.write(buffers);
    } catch (error) {
      throw storageFailure(error);
    }
    for (const { length } of buffers) this.#size += length;
  }

  /**
   * Appends what another file has from `start` up to but not including `end`.
   *
   * @returns CRC-32 of that
   */
  async copy(source: StoredFile, start: number, end: number): Promise<number> {
    let checksum = 0;
    for (let at = start; at < end; ) {
      const block = await source.read(at, Math.min(COPY_BLOCK_BYTES, end - at));
      if (block.length === 0) throw storageFailure(new Error('the source has become shorter'));
      await this.write([block]);
      checksum = zlib.crc32(block, checksum);
      at += block.length;
    }
    return checksum;
  }

  /** Gives it its name; rejects with EEXIST when something has it. It is to be closed all the same. */
  async publish(target: string): Promise<void> {
    await fs.promises.link(this.#name, target);
    // Else the next start does.
    await fs.promises.unlink(this.#name).catch(() => undefined);
  }

  /** Throws it away, unless it was published. Never rejects. */
  async discard(): Promise<void> {
    await this.close().catch(() => undefined);
    await fs.promises.rm(this.#name, { force: true }).catch(() => undefined);
  }
}
