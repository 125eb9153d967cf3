import path from 'node:path';
import { ResourcePath } from '../storage/resource-path.ts';
import type { Root } from '../storage/root.ts';
import type { StoredFile } from '../storage/stored-file.ts';

/** How many names in a directory are looked at. */
const MAX_NAMES = 1000;

/**
 * Opens the file that was at a path and is now beside it, below a name that begins as
 * its own did: `app.log.1`, `app.log-20261128`, `app-20261128.log`. The caller closes it.
 *
 * @param generation which file it was
 * @returns undefined when it is not to be found for sure
 * @throws what {@link Root.openRead} throws
 */
export async function openRenamed(
  root: Root,
  resource: ResourcePath,
  generation: number,
): Promise<StoredFile | undefined> {
  const directory = resource.upTo(resource.segments.length - 1);
  const stem = path.parse(resource.segments.at(-1) ?? '').name;
  const { found } = await root.fingerprintsIn(directory.key, MAX_NAMES);
  // Of those that were made in the same tick of the clock nobody knows which it was.
  const candidates = [...found].filter(
    ([fingerprint, name]) => name.startsWith(stem) && fingerprint.endsWith(`-${generation}`),
  );
  const [candidate] = candidates;
  if (candidate === undefined || candidates.length > 1) return undefined;
  const [fingerprint, name] = candidate;
  const file = await root.openRead(ResourcePath.parse(`${directory}/${name}`));
  if (file.stat.fingerprint === fingerprint) return file;
  await file.close();
  return undefined;
}
