import { constants, createReadStream, fstatSync, openSync } from 'node:fs';
import { access, type FileHandle, open, stat } from 'node:fs/promises';
import { Socket } from 'node:net';
import path from 'node:path';
import { addAbortSignal, Readable } from 'node:stream';
import { isatty, ReadStream as TerminalStream } from 'node:tty';
import { WrongUsageError } from '../parse-arguments.ts';

const BLOCK_BYTES = 256 * 1024;

/** Names of standard input, which it cannot be opened by if it is a socket. */
const STDIN_NAMES: readonly string[] = ['/dev/stdin', '/dev/fd/0', '/proc/self/fd/0'];

/** Names of descriptors, such as a shell's for <(COMMAND), which are of no use as file names. */
const IS_DESCRIPTOR = /^\/(?:dev|proc\/(?:self|\d+))\/(?:stdin|fd\/\d+)$/;

/** Bytes to be appended, which have not been read yet. */
export interface ByteSource {
  /** How many bytes it has, if that is known. */
  readonly size: number | undefined;
  /** Content type of an answer, once that is there. */
  readonly contentType?: string | undefined;
  /** The name to add to a URL that ends in `/`. */
  readonly fileName: string | undefined;
  /** Whether it can be read from a position on. */
  readonly canSeek: boolean;
  /** Whether it is complete wherever it is stopped. */
  readonly mayEndAnywhere: boolean;
  /** Starts to read it, without its first `position` bytes. */
  open(position: number): Promise<Readable> | Readable;
  /** Releases it, whether it was read or not. */
  close(): void;
}

interface NamedFile {
  path: string;
  /** Undefined for a pipe or a device, which cannot seek. */
  size: number | undefined;
}

export interface FileSourceOptions {
  /** Whether all files must be able to seek. */
  mustSeek: boolean;
  /** Returns this process's standard input. Not called if it is not among the files: Node reads ahead from it. */
  stdin: () => Readable;
}

export function stdinSource(stdin: Readable): ByteSource {
  return {
    size: undefined,
    fileName: undefined,
    canSeek: false,
    mayEndAnywhere: true,
    open: () => stdin,
    close: () => stdin.destroy(),
  };
}

/**
 * Files, one after the other. Pipes and devices among them are opened when it is
 * their turn, and read to their end.
 *
 * @throws {WrongUsageError} when one cannot seek but must; the system's error when one cannot be read
 */
export async function fileSource(
  paths: readonly string[],
  { mustSeek, stdin }: FileSourceOptions,
): Promise<ByteSource> {
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
  // Fails now rather than later if it may not be read, or is a directory.
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
 * Opens a pipe, a terminal or another device. Those that can block are not read in
 * one of Node's threads, which would keep the process alive.
 */
function openUnseekable(file: string): Readable {
  // Without O_NONBLOCK, opening a pipe would wait for a writer.
  const fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
  if (fstatSync(fd).isFIFO()) return new Socket({ fd, readable: true, writable: false });
  if (isatty(fd)) return new TerminalStream(fd);
  return createReadStream('', { fd, highWaterMark: BLOCK_BYTES });
}
