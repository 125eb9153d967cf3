import fs from 'node:fs';
import { promisify } from 'node:util';

/** File descriptor calls as promises: half the cost of a FileHandle's in the hot path. */
export const fdatasync = promisify(fs.fdatasync);
export const ftruncate = promisify(fs.ftruncate);
export const close = promisify(fs.close);
export const open = promisify(fs.open);

/** What is kept of a `stat`, at nanosecond precision. */
export interface FileStat {
  kind: 'file' | 'directory' | 'other';
  /** Equal for two paths exactly when they lead to the same file. */
  identity: string;
  /** Bytes. */
  size: number;
  /** Time of the last change of the content, in nanoseconds since 1970. */
  mtimeNs: bigint;
}

/** Reads up to `length` bytes from `position` on; fewer only at the end of the file. */
export async function readBlock(fd: number, position: number, length: number): Promise<Buffer> {
  const block = Buffer.allocUnsafeSlow(length);
  let filled = 0;
  while (filled < length) {
    const bytesRead = await readOnce(fd, block, filled, position + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return filled === length ? block : block.subarray(0, filled);
}

/** Writes all of `buffers` at `position`, going on after short writes. */
export async function writeAll(fd: number, buffers: readonly Buffer[], position: number): Promise<void> {
  let rest = buffers;
  let at = position;
  while (rest.length > 0) {
    const written = await writeOnce(fd, rest, at);
    at += written;
    rest = without(rest, written);
  }
}

export function describe(stat: fs.BigIntStats): FileStat {
  return {
    kind: stat.isFile() ? 'file' : stat.isDirectory() ? 'directory' : 'other',
    identity: `${stat.dev}:${stat.ino}`,
    size: Number(stat.size),
    mtimeNs: stat.mtimeNs,
  };
}

export function fstat(fd: number): Promise<FileStat> {
  return new Promise((resolve, reject) => {
    fs.fstat(fd, { bigint: true }, (error, stat) => (error ? reject(error) : resolve(describe(stat))));
  });
}

function readOnce(fd: number, block: Buffer, offset: number, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.read(fd, block, offset, block.length - offset, position, (error, bytesRead) =>
      error ? reject(error) : resolve(bytesRead),
    );
  });
}

function writeOnce(fd: number, buffers: readonly Buffer[], position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.writev(fd, buffers, position, (error, written) => (error ? reject(error) : resolve(written)));
  });
}

function without(buffers: readonly Buffer[], written: number): readonly Buffer[] {
  let remaining = written;
  for (const [i, buffer] of buffers.entries()) {
    if (remaining < buffer.length) return [buffer.subarray(remaining), ...buffers.slice(i + 1)];
    remaining -= buffer.length;
  }
  return [];
}
