import { type FileHandle, open, realpath, rename, stat, unlink } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { AuthFileBusyError } from '../wire/errors.ts';
import { type AuthDocument, parseAuthFile, readAuthFile } from './auth-file.ts';

/** How long to wait for another edit … */
const MAX_WAIT_MS = 5000;

/** … and how often to look whether it is over. */
const PAUSE_MS = 20;

/**
 * Changes what is in the file, as a whole or not at all. The new file is the lock at the same time: who finds it waits.
 *
 * @param edit is given what is in the file, nothing if there is no file yet, and returns what is to be in it
 * @param maxWaitMs how long to wait for another edit
 * @throws {InvalidAuthFileError} when the file is broken or not private, or would be broken
 * @throws {AuthFileBusyError} when another edit takes too long
 * @throws what `edit` throws, and the system's error
 */
export async function editAuthFile(
  file: string,
  edit: (document: AuthDocument) => AuthDocument,
  maxWaitMs = MAX_WAIT_MS,
): Promise<void> {
  // What a link leads to is replaced, not the link.
  const target = await realpath(file).catch(() => path.resolve(file));
  const replacement = `${target}.lock`;
  const handle = await openAlone(replacement, maxWaitMs);
  try {
    try {
      const text = `${JSON.stringify(edit(await documentIn(target)), undefined, 2)}\n`;
      await parseAuthFile(text, file);
      await handle.writeFile(text);
      await keepOwner(target, handle);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(replacement, target);
  } catch (error) {
    await unlink(replacement);
    throw error;
  }
  await syncDirectory(path.dirname(target));
}

async function openAlone(file: string, maxWaitMs: number): Promise<FileHandle> {
  const deadline = performance.now() + maxWaitMs;
  for (;;) {
    try {
      return await open(file, 'wx', 0o600);
    } catch (error) {
      if (!hasCode(error, 'EEXIST')) throw error;
      if (performance.now() >= deadline) {
        throw new AuthFileBusyError(
          `another command has been at work for too long, or was killed: if there is none, remove ${file}`,
          { cause: error },
        );
      }
    }
    await delay(PAUSE_MS);
  }
}

async function documentIn(file: string): Promise<AuthDocument> {
  try {
    return await parseAuthFile(await readAuthFile(file, { isObeyed: false }), file);
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return {};
    throw error;
  }
}

/** Root may edit the file of the user who runs the server, who must be able to read it then. */
async function keepOwner(file: string, replacement: FileHandle): Promise<void> {
  const old = await stat(file).catch(() => undefined);
  const { uid, gid } = await replacement.stat();
  if (old === undefined || (old.uid === uid && old.gid === gid)) return;
  await replacement.chown(old.uid, old.gid);
  await replacement.chmod(old.mode & 0o777);
}

async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function hasCode(error: unknown, code: string): boolean {
  return (error as NodeJS.ErrnoException).code === code;
}
