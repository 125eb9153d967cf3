import fs from 'node:fs';
import path from 'node:path';

/** Whether the system tells each change of a name once: others put several into one, or tell what is written as one. */
export const TELLS_EACH_CHANGE: boolean = process.platform === 'linux';

interface WatchedDirectory {
  watcher: fs.FSWatcher;
  listeners: Map<string, Set<() => void>>;
}

/**
 * Tells when names appear and go: one watch of the system for each directory. It
 * is no more than a hint: not every file system tells, and a system watches only so many.
 */
export class NameWatches {
  readonly #directories = new Map<string, WatchedDirectory>();

  /**
   * Calls `onChange` soon after something was made at a name, moved there or away, or deleted.
   *
   * @param name absolute
   * @returns what ends that
   */
  watch(name: string, onChange: () => void): () => void {
    const location = path.dirname(name);
    const directory = this.#directories.get(location) ?? this.#open(location);
    if (directory === undefined) return () => {};
    const { watcher, listeners } = directory;
    const base = path.basename(name);
    const others = listeners.get(base) ?? new Set();
    listeners.set(base, others.add(onChange));
    return () => {
      others.delete(onChange);
      if (others.size === 0) listeners.delete(base);
      if (listeners.size > 0) return;
      watcher.close();
      if (this.#directories.get(location) === directory) this.#directories.delete(location);
    };
  }

  #open(location: string): WatchedDirectory | undefined {
    const listeners: WatchedDirectory['listeners'] = new Map();
    try {
      const watcher = fs.watch(location, { persistent: false }, (event, name) => {
        // What is written to files in it is nobody's business here.
        if (event !== 'rename' || name === null) return;
        for (const listener of listeners.get(name) ?? []) listener();
      });
      const directory = { watcher, listeners };
      watcher.on('error', () => this.#directories.delete(location));
      this.#directories.set(location, directory);
      return directory;
    } catch {
      return undefined;
    }
  }
}
