import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { mkdir, open, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, inject, onTestFinished, vi } from 'vitest';
import { Records } from '../../../src/storage/records/records.ts';
import { storageFailure } from '../../../src/storage/storage-failure.ts';
import { diskDirectory } from '../server/server.ts';

/** A directory on a disk that is soon full. It is gone after the test. */
export interface SmallDisk {
  directory: string;
  /** Leaves about as many bytes free. */
  fill(freeBytes: number): Promise<void>;
  /** Leaves no room for another file, of whatever size. Not of a disk that is made to fail. */
  fillFiles(): Promise<void>;
  /** Makes room for at least half a mebibyte, and for files. */
  makeRoom(): Promise<void>;
}

const DISK_BYTES = 4 * 1024 * 1024;

const DISK_FILES = 512;

/** An error as the operating system makes it. */
export function systemError(code: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: made up`), { code });
}

/**
 * The kinds of small disks that can be had here: real file systems when this
 * user may mount them, and always one whose calls are made to fail. To be called once by a file of tests.
 */
export function smallDisks(): [kind: string, make: () => Promise<SmallDisk>][] {
  const disks: [string, () => Promise<SmallDisk>][] = [['a disk that is made to fail', failingDisk]];
  const tmpfs = RealDisks.mount(mountTmpfs);
  if (tmpfs !== undefined) disks.push(['a small tmpfs', () => tmpfs.take()]);
  const ext4 = RealDisks.mount(mountExt4);
  if (ext4 !== undefined) disks.push(['a small ext4', () => ext4.take()]);
  return disks;
}

function run(command: string, ...args: string[]): void {
  execFileSync(command, args, { stdio: ['ignore', 'ignore', 'pipe'] });
}

function mountTmpfs(directory: string): void {
  run('mount', '-t', 'tmpfs', '-o', `size=${DISK_BYTES},nr_inodes=${DISK_FILES}`, 'none', directory);
}

function mountExt4(directory: string): void {
  const image = `${directory}.image`;
  fs.writeFileSync(image, '');
  fs.truncateSync(image, DISK_BYTES);
  run('mkfs.ext4', '-q', '-F', '-O', '^has_journal', '-m', '0', '-N', String(DISK_FILES), image);
  run('mount', '-o', 'loop', image, directory);
}

/** Real file systems of a kind, which the tests of a file use one after the other: to mount one takes longer than most of them. */
class RealDisks {
  readonly #mount: (directory: string) => void;
  readonly #all: string[] = [];
  /** Where those are that no test has now, empty. */
  readonly #idle: string[] = [];

  private constructor(mount: (directory: string) => void) {
    this.#mount = mount;
  }

  /** Undefined if this user may not mount them. They are gone after the tests of this file. */
  static mount(mount: (directory: string) => void): RealDisks | undefined {
    const disks = new RealDisks(mount);
    try {
      disks.#idle.push(disks.#make());
      // Lazily, should a failed test have left a file open.
      afterAll(() => run('umount', '-l', ...disks.#all));
      return disks;
    } catch (error) {
      const reason = String((error as { stderr?: Buffer }).stderr ?? error).trim();
      process.stderr.write(
        `${mount.name}: not possible here, so only made-up failures are tried (${reason})\n`,
      );
      return undefined;
    }
  }

  async take(): Promise<SmallDisk> {
    const directory = this.#idle.pop() ?? this.#make();
    const [root, ballast, files] = ['root', 'ballast', 'files'].map((name) => path.join(directory, name)) as [
      string,
      string,
      string,
    ];
    const remove = async (...names: string[]) => {
      for (const name of names) await rm(name, { recursive: true, force: true, maxRetries: 10 });
    };
    onTestFinished(async () => {
      await remove(root, ballast, files);
      this.#idle.push(directory);
    });
    await mkdir(root);
    await mkdir(files);
    return {
      directory: root,
      fill: (freeBytes) => fillUp(ballast, directory, freeBytes),
      fillFiles: () => fillWithFiles(files),
      makeRoom: () => remove(ballast, files),
    };
  }

  #make(): string {
    const directory = path.join(fs.mkdtempSync(path.join(inject('disk'), 'mount-')), 'disk');
    fs.mkdirSync(directory);
    this.#mount(directory);
    this.#all.push(directory);
    return directory;
  }
}

async function fillUp(ballast: string, directory: string, freeBytes: number): Promise<void> {
  const handle = await open(ballast, 'a');
  try {
    for (;;) {
      const { bavail, bsize } = await fs.promises.statfs(directory);
      const excess = bavail * bsize - freeBytes;
      if (excess <= 0) break;
      await handle.write(Buffer.alloc(Math.min(excess, 65_536)));
    }
  } finally {
    await handle.close();
  }
}

async function fillWithFiles(directory: string): Promise<void> {
  for (let i = 0; (await fs.promises.statfs(directory)).ffree > 0; i++) {
    await writeFile(path.join(directory, String(i)), '');
  }
}

/** The calls that write are short when the room goes to an end, and fail when there is none. */
async function failingDisk(): Promise<SmallDisk> {
  let room = Number.POSITIVE_INFINITY;
  const { writev } = fs;
  const writing = vi.spyOn(fs, 'writev');
  writing.mockImplementation(((
    fd: number,
    buffers: readonly Buffer[],
    callback: (error: Error | null, written?: number) => void,
  ) => {
    const bytes = Buffer.concat(buffers);
    if (bytes.length > 0 && room <= 0) {
      setImmediate(callback, systemError('ENOSPC'));
      return;
    }
    const fitting = bytes.subarray(0, Math.min(bytes.length, room));
    room -= fitting.length;
    writev(fd, [fitting], callback as never);
  }) as never);
  const { write } = Records.prototype;
  const remembering = vi.spyOn(Records.prototype, 'write');
  remembering.mockImplementation(async function limited(this: Records, ...args) {
    if (room <= 0) throw storageFailure(systemError('ENOSPC'));
    await write.apply(this, args);
  });
  onTestFinished(() => {
    writing.mockRestore();
    remembering.mockRestore();
  });
  return {
    directory: await diskDirectory(),
    fill: async (freeBytes) => {
      room = freeBytes;
    },
    fillFiles: async () => {
      throw new Error('it has files without end');
    },
    makeRoom: async () => {
      room = 1024 * 1024;
    },
  };
}
