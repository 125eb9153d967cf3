import { statfs } from 'node:fs/promises';

/** What the disk has left. */
export interface DiskSpace {
  bytes: number;
  /** How many files; undefined where the file system makes room for them as they come. */
  inodes: number | undefined;
}

/** What the disk has left on which a directory is; undefined when it does not tell. */
export async function spaceOf(directory: string): Promise<DiskSpace | undefined> {
  const stat = await statfs(directory).catch(() => undefined);
  if (stat === undefined) return undefined;
  return { bytes: stat.bavail * stat.bsize, inodes: stat.files > 0 ? stat.ffree : undefined };
}
