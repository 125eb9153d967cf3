import { cp } from 'node:fs/promises';
import path from 'node:path';
import { diskDirectory } from '../server/server.ts';

/**
 * A copy of a root, or of its server's own directory, as `cp -r` makes it, but for what keeps other servers away. A
 * server may use the root.
 *
 * @param target where. Default: a directory that is removed after the test
 */
export async function copyRoot(root: string, target?: string): Promise<string> {
  const copy = target ?? path.join(await diskDirectory(), 'copy');
  await cp(root, copy, { recursive: true, filter: (name) => !/lock$/i.test(name) });
  return copy;
}
