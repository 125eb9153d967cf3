import fs from 'node:fs';
import path from 'node:path';
import { describe } from './file-io.ts';

/** Whether the system tells each change of a name once: others put several into one, or tell what is written as one. */
export const TELLS_EACH_CHANGE: boolean = process.platform === 'linux';

/**
 * Told what has changed: with `name` something was made there, moved there or away, or deleted; with `content` what is there was
 * written, cut, or given other rights.
 */
export type ChangeListener = (what: 'name' | 'content') => void;

/**
 * Tells when names appear and go: one watch of the system for each directory. It
 * is no more than a hint: not every file system tells, and a system watches only so many.
 */
export class NameWatches {
  readonly #directories = new Map<string, DirectoryWatch>();

  /**
   * Calls `listener` soon after something has changed at a name. Where another directory
   * has taken the place of the one that is watched, all are told of that one from now on.
   *
   * @param name absolute
   * @returns what ends that
   */
  watch(name: string, listener: ChangeListener): () => void {
    const location = path.dirname(name);
    const directory = this.#directories.get(location) ?? new DirectoryWatch(location);
    this.#directories.set(location, directory);
    directory.open();
    const { listeners } = directory;
    const base = path.basename(name);
    const others = listeners.get(base) ?? new Set();
    listeners.set(base, others.add(listener));
    return () => {
      others.delete(listener);
      if (others.size === 0) listeners.delete(base);
      if (listeners.size > 0) return;
      directory.close();
      if (this.#directories.get(location) === directory) this.#directories.delete(location);
    };
  }
}

/** The watch of what is at the path of a directory. */
class DirectoryWatch {
  /** By names in it. */
  readonly listeners = new Map<string, Set<ChangeListener>>();
  readonly #location: string;
  #watcher: fs.FSWatcher | undefined;
  /** Which directory is watched. */
  #identity: string | undefined;

  constructor(location: string) {
    this.#location = location;
  }

  /** Watches the directory that is there now, unless that is done already. Where there is none to watch, nothing is told. */
  open(): void {
    try {
      // Before it is watched: should another come in between, it is opened anew the next time.
      const identity = identityOf(this.#location);
      if (identity === this.#identity) return;
      this.close();
      this.#watcher = fs.watch(this.#location, { persistent: false }, (event, name) => {
        if (name === null) return;
        for (const listener of this.listeners.get(name) ?? [])
          listener(event === 'rename' ? 'name' : 'content');
      });
      this.#watcher.on('error', () => this.close());
      this.#identity = identity;
    } catch {
      // Those who want to know look themselves, too.
    }
  }

  /** Idempotent. */
  close(): void {
    this.#watcher?.close();
    this.#identity = undefined;
  }
}

/** Tells a directory from one that was made in its place, perhaps with the same inode number. */
function identityOf(location: string): string {
  const { identity, generation } = describe(fs.statSync(location, { bigint: true }));
  return `${identity}-${generation}`;
}
