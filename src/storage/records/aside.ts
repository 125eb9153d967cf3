import fs from 'node:fs';
import path from 'node:path';
import zlib from 'node:zlib';
import { makeDirectories, syncDirectories } from '../file-io.ts';
import type { NewFile } from '../new-file.ts';
import { OWN_DIRECTORY_MODE, OWN_FILE_MODE } from '../root/own-directory.ts';
import type { Root } from '../root/root.ts';
import { hasErrno, storageFailure } from '../storage-failure.ts';
import type { AppendFile } from '../stored-file.ts';

const COPY_BLOCK_BYTES = 1024 * 1024;

/**
 * Moves what a file has from `size` on out of it, to where an operator finds it. Where the file cannot be cut, the
 * next attempt finds the copy that is there: it does not make one each time.
 *
 * @returns where that is, absolute
 */
export async function setAside(root: Root, file: AppendFile, size: number): Promise<string> {
  const surplus = await root.newFile(OWN_FILE_MODE);
  try {
    const end = (await file.state()).size;
    const checksum = hexOf(await surplus.copy(file, size, end));
    const name = await publishAside(root, surplus, `${file.stat.fingerprint}-${size}-${end}-${checksum}`);
    await file.truncate(size);
    return name;
  } catch (error) {
    throw storageFailure(error);
  } finally {
    await surplus.discard();
  }
}

/**
 * Copies a file of the server's own to where an operator finds it.
 *
 * @param name absolute
 * @returns where that is, absolute
 */
export async function copyAside(root: Root, name: string): Promise<string> {
  const copy = await root.newFile(OWN_FILE_MODE);
  try {
    let checksum = 0;
    for await (const block of fs.createReadStream(name, { highWaterMark: COPY_BLOCK_BYTES })) {
      await copy.write([block]);
      checksum = zlib.crc32(block, checksum);
    }
    return await publishAside(root, copy, `${path.basename(name)}-${hexOf(checksum)}`);
  } catch (error) {
    throw storageFailure(error);
  } finally {
    await copy.discard();
  }
}

/**
 * Writes down a text where an operator finds it.
 *
 * @param directory absolute; made if it is missing
 * @returns where that is, absolute
 */
export async function writeAside(directory: string, label: string, text: string): Promise<string> {
  const name = path.join(directory, `${Date.now()}-${label}`);
  try {
    await makeDirectories(directory, OWN_DIRECTORY_MODE);
    await fs.promises.writeFile(name, text, { mode: OWN_FILE_MODE });
    return name;
  } catch (error) {
    throw storageFailure(error);
  }
}

function hexOf(checksum: number): string {
  return checksum.toString(16).padStart(8, '0');
}

/**
 * Gives a new file its name where an operator finds it; it survives a loss of power then. The caller discards it.
 *
 * @param label name, of which no two have different bytes: if it is there, it is kept
 * @returns where it is, absolute
 */
export async function publishAside(root: Root, file: NewFile, label: string): Promise<string> {
  const directory = root.own('aside');
  const name = path.join(directory, label);
  try {
    await file.sync();
    await makeDirectories(directory, OWN_DIRECTORY_MODE);
    await file.publish(name).catch((error) => {
      if (!hasErrno(error, 'EEXIST')) throw error;
    });
    await syncDirectories(directory, path.dirname(path.dirname(directory)));
    return name;
  } catch (error) {
    throw storageFailure(error);
  }
}
