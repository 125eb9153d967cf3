import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { OutcomeUnknownError } from '../errors.ts';
import { makeDirectories, syncDirectories } from './file-io.ts';
import { RESERVED_SEGMENT } from './resource-path.ts';
import { hasErrno, storageFailure } from './storage-failure.ts';

const DIRECTORY_MODE = 0o700;
const FILE_MODE = 0o600;

/** How a document of the server's own is written. */
export interface DocumentOptions {
  /** Whether it must survive a loss of power when it is written. */
  durable: boolean;
  /** Whether its name is to survive that, too, as far as `durable` says; else somebody syncs the directory later. Default: true. */
  syncsName?: boolean;
  /** What its last change is to be dated, in milliseconds since 1970. Default: now. */
  mtimeMs?: number | undefined;
}

/**
 * Replaces a small JSON document: after a crash there is the old one or the new one. Makes its directory.
 *
 * @throws {OutcomeUnknownError} when it is replaced, and may not survive a loss of power
 * @throws what the disk does, and then it is not replaced
 */
export async function writeDocument(
  file: string,
  document: object,
  { durable, mtimeMs, syncsName = true }: DocumentOptions,
): Promise<void> {
  const temporary = `${file}.${randomBytes(6).toString('hex')}.tmp`;
  const directory = path.dirname(file);
  let top = directory;
  try {
    const open = () => fs.promises.open(temporary, 'wx', FILE_MODE);
    const handle = await open().catch(async (error) => {
      if (!hasErrno(error, 'ENOENT')) throw error;
      await makeDirectories(directory, DIRECTORY_MODE);
      top = ownerOf(file);
      return open();
    });
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
    // Directories that were made need their names, too.
    if (durable && (syncsName || top !== directory)) await syncDirectories(directory, top);
  } catch (error) {
    throw new OutcomeUnknownError('what was written may not survive a loss of power', { cause: error });
  }
}

/** The root, which holds the server's own directory. */
function ownerOf(file: string): string {
  let at = path.dirname(file);
  while (path.basename(at) !== RESERVED_SEGMENT && at !== path.dirname(at)) at = path.dirname(at);
  return path.dirname(at);
}
