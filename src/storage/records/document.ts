import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { OutcomeUnknownError } from '../../wire/errors.ts';
import { RESERVED_SEGMENT } from '../../wire/resource-path.ts';
import { makeDirectories, syncDirectories } from '../file-io.ts';
import { OWN_DIRECTORY_MODE, OWN_FILE_MODE } from '../own-directory.ts';
import { hasErrno, storageFailure } from '../storage-failure.ts';

/** How a document of the server's own is written. */
export interface DocumentOptions {
  /** Whether it must survive a loss of power when it is written. */
  durable: boolean;
  /** Whether its name is to survive that, too, as far as `durable` says; else somebody syncs the directory later. Default: true. */
  syncsName?: boolean;
  /** What its last change is to be dated, in milliseconds since 1970. Default: now. */
  mtimeMs?: number | undefined;
}

/** Small JSON documents of the server's own, each replaced as a whole: after a crash there is the old one or the new one. */
export class Documents {
  /**
   * Directories whose own names survive a loss of power. Others may have made them, or a server that was killed: that they
   * are there says nothing.
   */
  readonly #anchored = new Set<string>();

  /**
   * Replaces a document. Makes its directory.
   *
   * @throws {OutcomeUnknownError} when it is replaced, and may not survive a loss of power
   * @throws what the disk does, and then it is not replaced
   */
  async write(
    file: string,
    document: object,
    { durable, mtimeMs, syncsName = true }: DocumentOptions,
  ): Promise<void> {
    const temporary = `${file}.${randomBytes(6).toString('hex')}.tmp`;
    const directory = path.dirname(file);
    try {
      const handle = await this.#openNew(temporary);
      try {
        await handle.writeFile(`${JSON.stringify(document)}\n`);
        if (mtimeMs !== undefined) await handle.utimes(mtimeMs / 1000, mtimeMs / 1000);
        if (durable) await handle.sync();
      } finally {
        await handle.close();
      }
      await fs.promises.rename(temporary, file);
    } catch (error) {
      await fs.promises.rm(temporary, { force: true }).catch(() => undefined);
      throw storageFailure(error);
    }
    try {
      const isAnchored = this.#anchored.has(directory);
      if (durable && (syncsName || !isAnchored)) await this.syncNames(directory);
    } catch (error) {
      throw new OutcomeUnknownError('what was written may not survive a loss of power', { cause: error });
    }
  }

  /** Makes the names of the documents in a directory survive a loss of power, and its own. */
  async syncNames(directory: string): Promise<void> {
    const isAnchored = this.#anchored.has(directory);
    await syncDirectories(directory, isAnchored ? directory : ownerOf(directory));
    if (!isAnchored) this.#anchored.add(directory);
  }

  async #openNew(name: string): Promise<fs.promises.FileHandle> {
    try {
      return await fs.promises.open(name, 'wx', OWN_FILE_MODE);
    } catch (error) {
      if (!hasErrno(error, 'ENOENT')) throw error;
      const directory = path.dirname(name);
      // Somebody may have removed it. Before it is made: whoever finds it there is to know.
      this.#anchored.delete(directory);
      await makeDirectories(directory, OWN_DIRECTORY_MODE);
      return fs.promises.open(name, 'wx', OWN_FILE_MODE);
    }
  }
}

/** The root, which holds the server's own directory. */
function ownerOf(directory: string): string {
  let at = directory;
  while (path.basename(at) !== RESERVED_SEGMENT && at !== path.dirname(at)) at = path.dirname(at);
  return path.dirname(at);
}
