import { constants, createReadStream, fstatSync, openSync } from 'node:fs';
import { access, type FileHandle, open, stat } from 'node:fs/promises';
import { Socket } from 'node:net';
import path from 'node:path';
import { addAbortSignal, Readable } from 'node:stream';
import { isatty, ReadStream as TerminalStream } from 'node:tty';
import { WrongUsageError } from '../parse-arguments.ts';
import type { AppendSource } from './append-source.ts';

const BLOCK_BYTES = 256 * 1024;

/** Names of standard input. What it is when it is a socket cannot be opened by them. */
const STDIN_NAMES: readonly string[] = ['/dev/stdin', '/dev/fd/0', '/proc/self/fd/0'];

/** What is named by the number of a descriptor, as a shell names <(COMMAND), has no name that says anything. */
const IS_DESCRIPTOR = /^\/(?:dev|proc\/(?:self|\d+))\/(?:stdin|fd\/\d+)$/;

interface NamedFile {
  path: string;
  /** Undefined for a pipe or a device, which is read as it comes. */
  size: number | undefined;
}

/** What {@link fileSource} is given besides the files. */
export interface FileSourceOptions {
  /** Whether it is to be read from a position on. */
  mustSeek: boolean;
  /** This process's standard input. */
  stdin: () => Readable;
}

/**
 * Files, one after the other. Pipes and devices among them are opened in their
 * turn, and read until their end.
 *
 * @throws {WrongUsageError} when one cannot seek and must; the system's error when one cannot be read
 */
export async function fileSource(
  paths: readonly string[],
  { mustSeek, stdin }: FileSourceOptions,
): Promise<AppendSource> {
  const files = await Promise.all(paths.map(lookAt));
  const unseekable = files.find((file) => file.size === undefined);
  if (mustSeek && unseekable !== undefined) {
    throw new WrongUsageError(`--resume needs files, and ${unseekable.path} can only be read as it comes`);
  }
  const size = files.reduce<number | undefined>((sum, file) => add(sum, file.size), 0);
  const [first] = paths as [string];
  const reading = new AbortController();
  return {
    size,
    fileName: paths.length === 1 && !IS_DESCRIPTOR.test(first) ? path.basename(first) : undefined,
    canSeek: unseekable === undefined,
    mayEndAnywhere: false,
    open(position) {
      const blocks = readFrom(files, position, stdin, reading.signal);
      return Readable.from(blocks, { objectMode: false });
    },
    close: () => reading.abort(),
  };
}

async function lookAt(file: string): Promise<NamedFile> {
  const stats = await stat(file);
  if (!stats.isFile() && !stats.isDirectory()) {
    await access(file, constants.R_OK);
    return { path: file, size: undefined };
  }
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

async function* readFrom(
  files: readonly NamedFile[],
  position: number,
  stdin: () => Readable,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  let start = position;
  for (const { path: file, size } of files) {
    if (size === undefined) {
      const isStdin = STDIN_NAMES.includes(file);
      yield* addAbortSignal(signal, isStdin ? stdin() : openUnseekable(file));
      continue;
    }
    if (start > 0 && start >= size) {
      start -= size;
      continue;
    }
    let bytes = start;
    for await (const block of createReadStream(file, { start, highWaterMark: BLOCK_BYTES, signal })) {
      bytes += block.length;
      yield block;
    }
    if (bytes < size) throw new Error(`${file} became shorter while it was read`);
    start = 0;
  }
}

/**
 * Opens a pipe, a terminal or another device. What may keep its reader waiting is
 * not read in one of Node's threads, which would keep the process, too.
 */
function openUnseekable(file: string): Readable {
  // A pipe that nobody writes to yet is waited for by reading it.
  const fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
  if (fstatSync(fd).isFIFO()) return new Socket({ fd, readable: true, writable: false });
  if (isatty(fd)) return new TerminalStream(fd);
  return createReadStream('', { fd, highWaterMark: BLOCK_BYTES });
}
