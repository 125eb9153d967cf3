import fs, { constants } from 'node:fs';
import * as fileIo from './file-io.ts';

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
  stat(): Promise<fileIo.FileStat>;
  /**
   * Finds out whether what was opened through it is below it, or it itself.
   *
   * @param name in it; empty when it was opened itself
   */
  confirms(fd: number, name: string): Promise<boolean>;
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

/** Looks names up and holds what they lead to. */
export interface PathHolder {
  /** Rejects with what the system says when nothing is there. */
  hold(name: string | Buffer, how?: LookUp): Promise<HeldPath>;
}

/** The holder for this machine. */
export async function pathHolder(directory: string): Promise<PathHolder> {
  try {
    const held = await new DescriptorHolder().hold(directory, { directory: true });
    held.release();
    if (held.real === (await fs.promises.realpath(directory))) return new DescriptorHolder();
  } catch {
    // Not Linux, or `/proc` is not there.
  }
  return new NameHolder();
}

/** Holds a descriptor: what is looked up cannot be swapped at all. */
export class DescriptorHolder implements PathHolder {
  async hold(name: string | Buffer, { noFollow = false, directory = false }: LookUp = {}): Promise<HeldPath> {
    const flags = O_PATH | (noFollow ? constants.O_NOFOLLOW : 0) | (directory ? constants.O_DIRECTORY : 0);
    const fd = await fileIo.open(name, flags);
    const entry = `${DESCRIPTORS}/${fd}`;
    // Neither this nor the release waits for a disk.
    const release = () => fs.closeSync(fd);
    try {
      return {
        real: fs.readlinkSync(entry),
        entry,
        stat: () => fileIo.fstat(fd),
        confirms: async () => true,
        release,
      };
    } catch (error) {
      release();
      throw error;
    }
  }
}

/** Holds the real name, and looks again afterwards: for systems on which a descriptor is no path. */
export class NameHolder implements PathHolder {
  async hold(name: string | Buffer, { noFollow = false, directory = false }: LookUp = {}): Promise<HeldPath> {
    const real = noFollow ? name.toString() : await fs.promises.realpath(name.toString());
    const stat = async () => {
      const look = noFollow ? fs.promises.lstat : fs.promises.stat;
      return fileIo.describe(await look(noFollow ? name : real, { bigint: true }));
    };
    if (directory && (await stat()).kind !== 'directory') {
      throw Object.assign(new Error('ENOTDIR: not a directory'), { code: 'ENOTDIR' });
    }
    return {
      real,
      entry: real,
      stat,
      confirms: async (fd, below) => {
        const target = below === '' ? real : `${real}/${below}`;
        const [now, there, opened] = await Promise.all([
          fs.promises.realpath(target),
          fs.promises.lstat(target, { bigint: true }),
          fileIo.fstat(fd),
        ]);
        return now === target && fileIo.describe(there).identity === opened.identity;
      },
      release: () => {},
    };
  }
}
