import fs from 'node:fs';
import { ResourcePath } from '../../wire/resource-path.ts';
import type { FileStat } from '../file-io.ts';
import type { RootDirectory } from './root-directory.ts';

/** What is at single names of directories below the root, and when that changes. */
export class DirectoryEntries {
  readonly #directory: RootDirectory;

  constructor(directory: RootDirectory) {
    this.#directory = directory;
  }

  /**
   * Finds out, in line, what is at a name in a directory. Undefined for what a listing leaves out, too.
   *
   * @throws what the disk does
   */
  stat(directory: ResourcePath, name: string): FileStat | undefined {
    if (!isAddressable(directory, name)) return undefined;
    const stat = this.#directory.statEntry(this.#directory.locate(directory.child(name)));
    return stat?.kind === 'other' ? undefined : stat;
  }

  /**
   * Has the system notify of each name in a directory at which something has come, gone or been written.
   *
   * @returns ends it; undefined when the system does not
   */
  watch(directory: ResourcePath, changed: (name: string) => void): (() => void) | undefined {
    try {
      const held = this.#directory.find(directory, { directory: true });
      try {
        const watcher = fs.watch(held.entry, { persistent: false }, (_event, name) => {
          if (name !== null) changed(name);
        });
        watcher.on('error', () => watcher.close());
        return () => watcher.close();
      } finally {
        held.release();
      }
    } catch {
      return undefined;
    }
  }
}

/** Whether a URL can name what is at a name in a directory, and it is not the server's own. */
export function isAddressable(directory: ResourcePath, name: string): boolean {
  try {
    return ResourcePath.parse(`${directory}/${name}`) !== undefined;
  } catch {
    return false;
  }
}
