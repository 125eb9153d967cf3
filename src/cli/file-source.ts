import { createReadStream } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import type { AppendSource } from './append-source.ts';

const BLOCK_BYTES = 256 * 1024;

interface NamedFile {
  path: string;
  /** Undefined for a pipe or a device. */
  size: number | undefined;
}

/**
 * Files, one after the other.
 *
 * @throws the system's error when one of them cannot be read
 */
export async function fileSource(paths: readonly string[]): Promise<AppendSource> {
  const files = await Promise.all(paths.map(lookAt));
  const size = files.reduce<number | undefined>((sum, file) => add(sum, file.size), 0);
  const [first] = paths as [string];
  return {
    size,
    fileName: paths.length === 1 ? path.basename(first) : undefined,
    mayEndAnywhere: false,
    open: (position) => Readable.from(readFrom(files, position), { objectMode: false }),
    close() {},
  };
}

async function lookAt(file: string): Promise<NamedFile> {
  const stats = await stat(file);
  if (!stats.isFile() && !stats.isDirectory()) return { path: file, size: undefined };
  // To find out now whether it may be read; of a directory, that it cannot be.
  let handle: FileHandle | undefined;
  try {
    handle = await open(file);
    if (stats.isDirectory()) await handle.read(Buffer.alloc(1));
  } finally {
    await handle?.close();
  }
  return { path: file, size: stats.size };
}

function add(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? undefined : a + b;
}

async function* readFrom(files: readonly NamedFile[], position: number): AsyncGenerator<Buffer> {
  let start = position;
  for (const { path: file, size } of files) {
    if (size !== undefined && start > 0 && start >= size) {
      start -= size;
      continue;
    }
    let bytes = start;
    for await (const block of createReadStream(file, { start, highWaterMark: BLOCK_BYTES })) {
      bytes += block.length;
      yield block;
    }
    if (size !== undefined && bytes < size) throw new Error(`${file} became shorter while it was read`);
    start = 0;
  }
}
