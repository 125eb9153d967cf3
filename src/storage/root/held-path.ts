import fs, { constants } from 'node:fs';
import * as fileIo from '../file-io.ts';
import { withoutStack } from '../storage-failure.ts';

/** Opens a name only to know what it is: not even a FIFO or a device notices. Linux; Node does not name it. */
const O_PATH = 0o10000000;

const DESCRIPTORS = '/proc/self/fd';

/**
 * What a name led to when it was looked up. Names in it, and it itself, are
 * reached through it, so that whoever swaps a directory on the way for a symlink
 * changes nothing any more. To be released.
 */
export interface HeldPath {
  /** Where it is: absolute, without symlinks. */
  readonly real: string;
  /** What leads to it, for every call that takes a path. */
  readonly entry: string;
  /** What it is. */
  stat(): fileIo.FileStat;
  /**
   * Finds out whether what was opened through it is below it, or it itself.
   *
   * @param name in it; empty when it was opened itself
   */
  confirms(fd: number, name: string): boolean;
  /** Lets it go. */
  release(): void;
}

/** How a name is looked up. */
export interface LookUp {
  /** Whether a symlink at the name itself is what is meant, and not what it leads to. */
  noFollow?: boolean;
  /** Whether only a directory will do. */
  directory?: boolean;
}

/**
 * Looks names up and holds what they lead to, in line: each call takes a few microseconds of what the system has in
 * memory, and a trip to another thread several times as long.
 */
export interface PathHolder {
  /** Throws what the system says when nothing is there. */
  hold(name: string | Buffer, how?: LookUp): HeldPath;
}

/** The holder for this machine. */
export function pathHolder(directory: string): PathHolder {
  try {
    const held = new DescriptorHolder().hold(directory, { directory: true });
    held.release();
    if (held.real === fs.realpathSync.native(directory)) return new DescriptorHolder();
  } catch {
    // Not Linux, or `/proc` is not there.
  }
  return new NameHolder();
}

/** Holds a descriptor: what is looked up cannot be swapped at all. */
export class DescriptorHolder implements PathHolder {
  hold(name: string | Buffer, { noFollow = false, directory = false }: LookUp = {}): HeldPath {
    const flags = O_PATH | (noFollow ? constants.O_NOFOLLOW : 0) | (directory ? constants.O_DIRECTORY : 0);
    const fd = withoutStack(() => fs.openSync(name, flags));
    const entry = `${DESCRIPTORS}/${fd}`;
    try {
      return new HeldDescriptor(fd, entry, fs.readlinkSync(entry));
    } catch (error) {
      fs.closeSync(fd);
      throw error;
    }
  }
}

class HeldDescriptor implements HeldPath {
  readonly real: string;
  readonly entry: string;
  readonly #fd: number;

  constructor(fd: number, entry: string, real: string) {
    this.#fd = fd;
    this.entry = entry;
    this.real = real;
  }

  stat(): fileIo.FileStat {
    return fileIo.fstatSync(this.#fd);
  }

  confirms(): boolean {
    return true;
  }

  release(): void {
    fs.closeSync(this.#fd);
  }
}

/** Holds the real name, and looks again afterwards: for systems on which a descriptor is no path. */
export class NameHolder implements PathHolder {
  hold(name: string | Buffer, { noFollow = false, directory = false }: LookUp = {}): HeldPath {
    const real = noFollow ? name.toString() : fs.realpathSync.native(name.toString());
    const stat = () => {
      const look = noFollow ? fs.lstatSync : fs.statSync;
      return fileIo.describe(look(noFollow ? name : real, { bigint: true }));
    };
    if (directory && stat().kind !== 'directory') {
      throw Object.assign(new Error('ENOTDIR: not a directory'), { code: 'ENOTDIR' });
    }
    return {
      real,
      entry: real,
      stat,
      confirms: (fd, below) => {
        const target = below === '' ? real : `${real}/${below}`;
        const there = fs.lstatSync(target, { bigint: true });
        return (
          fs.realpathSync.native(target) === target &&
          fileIo.describe(there).identity === fileIo.fstatSync(fd).identity
        );
      },
      release: () => {},
    };
  }
}
