import fs from 'node:fs';
import { describe } from '../file-io.ts';
import { hasErrno, storageFailure } from '../storage-failure.ts';
import { OWN_FILE_MODE } from './own-directory.ts';

/** Always as long, so that it is overwritten as a whole. */
const TEXT_BYTES = 64;

/** Said by a copy while what is remembered becomes that of its files. */
const ADOPTING = 'adopting';

/**
 * What a root says of itself: nothing yet; that it is the one that was served; that it is a copy of that; that it is
 * one whose files have what is remembered in part.
 */
export type RootOrigin = 'unknown' | 'own' | 'copied' | 'adopting';

/** Tells a root from its copies: a file of the server's own has its own fingerprint in it, which a copy has not. */
export class RootIdentity {
  readonly #name: string;

  /** @param name of the file, absolute */
  constructor(name: string) {
    this.#name = name;
  }

  /** @throws {StorageError} when it cannot be read */
  async read(): Promise<RootOrigin> {
    try {
      const handle = await fs.promises.open(this.#name, 'r');
      try {
        const { fingerprint } = describe(await handle.stat({ bigint: true }));
        const { buffer, bytesRead } = await handle.read(Buffer.alloc(TEXT_BYTES), 0, TEXT_BYTES, 0);
        const text = buffer.toString('latin1', 0, bytesRead).trim();
        if (text === ADOPTING) return ADOPTING;
        // What is empty was made, and not written.
        if (text === '') return 'unknown';
        return text === fingerprint ? 'own' : 'copied';
      } finally {
        await handle.close();
      }
    } catch (error) {
      if (hasErrno(error, 'ENOENT')) return 'unknown';
      throw storageFailure(error);
    }
  }

  /** Says, durably, that this is the root that is served: what is copied from now on is a copy. */
  claim(): Promise<void> {
    return this.#write((fingerprint) => fingerprint);
  }

  /** Says, durably, that it is a copy, some of whose files have what is remembered. */
  beginAdopting(): Promise<void> {
    return this.#write(() => ADOPTING);
  }

  async #write(textOf: (fingerprint: string) => string): Promise<void> {
    try {
      // In place: another file would be another root.
      const { O_RDWR, O_CREAT } = fs.constants;
      const handle = await fs.promises.open(this.#name, O_RDWR | O_CREAT, OWN_FILE_MODE);
      try {
        const { fingerprint } = describe(await handle.stat({ bigint: true }));
        await handle.write(Buffer.from(textOf(fingerprint).padEnd(TEXT_BYTES)), 0, TEXT_BYTES, 0);
        await handle.sync();
      } finally {
        await handle.close();
      }
    } catch (error) {
      throw storageFailure(error);
    }
  }
}
