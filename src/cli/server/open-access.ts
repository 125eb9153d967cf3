import { realpath } from 'node:fs/promises';
import path from 'node:path';
import type { FileAccess } from '../../rights/file-access.ts';

type Log = Parameters<typeof FileAccess.open>[1];

/**
 * Opens the file of `-auth`.
 *
 * @param root what the server serves, which must not be that file
 * @throws {Error} that says what is wrong with it, and where
 */
export async function openAccess(file: string, root: string, log: Log): Promise<FileAccess> {
  const { FileAccess } = await import('../../rights/file-access.ts');
  let access: FileAccess;
  try {
    access = await FileAccess.open(file, log);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    throw new Error(`there is no file ${file}: httpfstream-server token add makes one`, { cause: error });
  }
  const below = path.relative(await realpath(root).catch(() => path.resolve(root)), await realpath(file));
  if (below.split(path.sep)[0] === '..' || path.isAbsolute(below)) return access;
  access.close();
  throw new Error(`${file} is below ${root}, and would be served: put it somewhere else`);
}
