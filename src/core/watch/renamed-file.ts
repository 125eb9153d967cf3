import nodePath from 'node:path';
import type { Root } from '../../storage/root/root.ts';
import type { StoredFile } from '../../storage/stored-file.ts';
import { ResourcePath } from '../../wire/resource-path.ts';
import { Permit } from '../permit.ts';

/** How many names in a directory are looked at. */
const MAX_NAMES = 1000;

/** A file that was renamed. */
export interface RenamedFile {
  file: StoredFile;
  /** Its name now. */
  path: ResourcePath;
}

/**
 * Opens the file that was at a path and is now beside it, below a name that was made
 * of its own: `app.log.1`, `app.log-20261128`, `app-20261128.log`. The caller closes it.
 *
 * @param which.generation which file it was
 * @param which.from how long it was at least
 * @param permit for the path; whoever asks must be allowed to follow the file by its name of now, too: nobody knows that
 *   it was there
 * @returns undefined when it is not to be found for sure
 * @throws what {@link Root.openRead} throws
 */
export async function openRenamed(
  root: Root,
  { path, subject }: Permit<'follow'>,
  { generation, from }: { generation: number; from: number },
): Promise<RenamedFile | undefined> {
  const directory = path.upTo(path.segments.length - 1);
  const before = path.segments.at(-1) ?? '';
  const { found } = await root.fingerprintsIn(directory.key, MAX_NAMES);
  // Of those that were made in the same tick of the clock nobody knows which it was.
  const candidates = [...found].filter(
    ([fingerprint, name]) => isMadeOf(name, before) && fingerprint.endsWith(`-${generation}`),
  );
  const [candidate] = candidates;
  if (candidate === undefined || candidates.length > 1) return undefined;
  const [fingerprint, name] = candidate;
  const renamed = Permit.of(subject, 'follow', ResourcePath.parse(`${directory}/${name}`));
  if (renamed === undefined) return undefined;
  const file = await root.openRead(renamed.path);
  if (file.stat.fingerprint === fingerprint && file.stat.size >= from) return { file, path: renamed.path };
  await file.close();
  return undefined;
}

/** Whether a name is another one with something more, set off from it: behind it, or before its extension. */
function isMadeOf(name: string, before: string): boolean {
  const { name: stem, ext } = nodePath.parse(before);
  const isSetOff = (from: number) => '.-_'.includes(name[from] ?? 'x');
  const isLonger = name.startsWith(before) && isSetOff(before.length);
  return (
    isLonger || (name.startsWith(stem) && isSetOff(stem.length) && name.endsWith(ext) && name !== before)
  );
}
