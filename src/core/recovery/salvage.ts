import zlib from 'node:zlib';
import type { JournalEntry } from '../../storage/journal/entry.ts';
import type { NewFile } from '../../storage/new-file.ts';
import { publishAside } from '../../storage/records/aside.ts';
import { OWN_FILE_MODE } from '../../storage/root/own-directory.ts';
import type { Root } from '../../storage/root/root.ts';
import type { FileEntry } from '../log/file-entry.ts';

/** Longest part of a label that a file's name makes, in characters. */
const MAX_NAME_LENGTH = 80;

/** Keeps the bytes of appends that cannot be replayed any more where an operator finds them. */
export class Salvage {
  readonly #root: Root;
  #file: NewFile | undefined;
  /** Of the first append. */
  #position: number | undefined;
  /** CRC-32 of the bytes. */
  #checksum = 0;

  constructor(root: Root) {
    this.#root = root;
  }

  /** Position in the stream at which the appends begin; undefined when there are none. */
  get position(): number | undefined {
    return this.#position;
  }

  /** Takes one append. What is not in the journal cannot be kept; what was not made yet is not missed. */
  async take({ header, payload }: JournalEntry<FileEntry>): Promise<void> {
    if (header.intent) return;
    this.#position ??= header.start;
    if (payload.length === 0) return;
    this.#file ??= await this.#root.newFile(OWN_FILE_MODE);
    await this.#file.write([payload]);
    this.#checksum = zlib.crc32(payload, this.#checksum);
  }

  /**
   * Gives what was taken its name.
   *
   * @param path of the stream's file below the root
   * @returns where it is, absolute; undefined when there are no bytes
   */
  async publish(path: string, fingerprint: string): Promise<string | undefined> {
    const name = path.replaceAll(/[^\w.-]/g, '_').slice(-MAX_NAME_LENGTH);
    // A start that is repeated finds it done.
    const checksum = this.#checksum.toString(16).padStart(8, '0');
    const label = `lost-${name}-${fingerprint}-${this.#position}-${checksum}`;
    return this.#file && (await publishAside(this.#root, this.#file, label));
  }

  /** Closes the file; without a name it is gone. Never rejects. */
  async close(): Promise<void> {
    await this.#file?.discard();
  }
}
