import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { mkdir, open, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { onTestFinished, vi } from 'vitest';
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
 * user may mount them, and always one whose calls are made to fail.
 */
export function smallDisks(): [kind: string, make: () => Promise<SmallDisk>][] {
  const disks: [string, () => Promise<SmallDisk>][] = [['a disk that is made to fail', failingDisk]];
  if (canMount(mountTmpfs)) disks.push(['a small tmpfs', () => realDisk(mountTmpfs)]);
  if (canMount(mountExt4)) disks.push(['a small ext4', () => realDisk(mountExt4)]);
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

function canMount(mount: (directory: string) => void): boolean {
  const base = fs.mkdtempSync(path.join(os.tmpdir(), 'httpfstream-mount-'));
  const directory = path.join(base, 'disk');
  fs.mkdirSync(directory);
  try {
    mount(directory);
    run('umount', directory);
    return true;
  } catch (error) {
    const reason = String((error as { stderr?: Buffer }).stderr ?? error).trim();
    process.stderr.write(
      `${mount.name}: not possible here, so only made-up failures are tried (${reason})\n`,
    );
    return false;
  } finally {
    fs.rmSync(base, { recursive: true, force: true });
  }
}

async function realDisk(mount: (directory: string) => void): Promise<SmallDisk> {
  const directory = path.join(await diskDirectory(), 'disk');
  await mkdir(directory);
  mount(directory);
  // Lazily, should a failed test have left a file open.
  onTestFinished(() => run('umount', '-l', directory));
  const root = path.join(directory, 'root');
  await mkdir(root);
  const ballast = path.join(directory, 'ballast');
  const files = path.join(directory, 'files');
  await mkdir(files);
  return {
    directory: root,
    fill: (freeBytes) => fillUp(ballast, directory, freeBytes),
    fillFiles: () => fillWithFiles(files),
    makeRoom: async () => {
      for (const name of [ballast, files]) await rm(name, { recursive: true, force: true });
    },
  };
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
