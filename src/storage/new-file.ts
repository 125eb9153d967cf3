import fs from 'node:fs';
import zlib from 'node:zlib';
import type { BlockPool } from './block-pool.ts';
import type { FileStat } from './file-io.ts';
import { storageFailure } from './storage-failure.ts';
import type { StoredFile } from './stored-file.ts';
import { AppendFile } from './stored-file.ts';

const COPY_BLOCK_BYTES = 1024 * 1024;

/** What bounds how much is written. */
export interface WriteRoom {
  /** To be called before so many bytes are written. @throws when there is no room for them */
  take(bytes: number): void;
  /** Notes that what was written is about to get its name: until {@link made}, or {@link release}. */
  naming(fingerprint: string): void;
  /** Notes that what was written has got its name. @param location its path below the root */
  made(fingerprint: string, location: string, bytes: number): void;
  /** Gives back what was taken for what is not to be. */
  release(): void;
}

/** A file that is being filled and has no name in the root yet: all of it appears there at once, or nothing. */
export class NewFile extends AppendFile {
  readonly #name: string;
  #size = 0;
  /** What bounds it. Default: nothing. */
  room: WriteRoom | undefined;

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
    let bytes = 0;
    for (const { length } of buffers) bytes += length;
    this.room?.take(bytes);
    try {
      await super.write(buffers);
    } catch (error) {
      throw storageFailure(error);
    }
    this.#size += bytes;
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

  /**
   * Gives it its name; rejects with EEXIST when something has it. It is to be discarded all the same, when its name
   * is as safe as it is to be: until then it has the one before, too, from which the next start knows that it may not be.
   */
  async publish(target: string): Promise<void> {
    await fs.promises.link(this.#name, target);
  }

  /** Closes it and throws away what was not published. Never rejects. */
  async discard(): Promise<void> {
    this.room?.release();
    await this.close().catch(() => undefined);
    await fs.promises.rm(this.#name, { force: true }).catch(() => undefined);
  }
}
