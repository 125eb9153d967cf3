import { execFile } from 'node:child_process';
import { closeSync, constants, openSync, readSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { Socket } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { messageOf } from '../io/io.ts';

const BLOCK_BYTES = 64 * 1024;

/** Error codes when there is nothing to read at the moment, or, from a terminal, any more. */
const NOTHING_TO_READ: readonly (string | undefined)[] = ['EAGAIN', 'EIO'];

/** More than a pipe of the system holds, unless a privileged process has enlarged it. */
const MAX_PIPE_BYTES = 1024 * 1024;

/** Both ends of a pipe. */
export interface OutputPipe {
  /** Ends when no process has the writing end open. */
  readable: Readable;
  /** The descriptor that `readable` reads from, and closes. */
  readDescriptor: number;
  /** For child processes, as their stdout and stderr. */
  writeDescriptor: number;
  /** Closes the writing end in this process, so that the readable can end. */
  closeWriteDescriptor(): void;
}

/**
 * Makes a pipe of the operating system. Those that Node makes for child processes
 * are sockets, one for stdout and one for stderr: the order between them is lost,
 * and a script that writes to `/dev/stderr` fails, because a socket cannot be opened.
 *
 * @throws an error that says that it cannot be made, and where
 */
export async function openOutputPipe(): Promise<OutputPipe> {
  try {
    return await makePipe();
  } catch (cause) {
    throw new Error(`cannot make a pipe in ${os.tmpdir()}: ${messageOf(cause)}`, { cause });
  }
}

async function makePipe(): Promise<OutputPipe> {
  const directory = await mkdtemp(path.join(os.tmpdir(), 'httpfstream-'));
  try {
    const name = path.join(directory, 'output');
    await promisify(execFile)('mkfifo', ['-m', '600', name]);
    // Without O_NONBLOCK, this would wait for a writer.
    const readDescriptor = openSync(name, constants.O_RDONLY | constants.O_NONBLOCK);
    const writeDescriptor = openSync(name, constants.O_WRONLY);
    return {
      readable: new Socket({ fd: readDescriptor, readable: true, writable: false }),
      readDescriptor,
      writeDescriptor,
      closeWriteDescriptor: () => closeSync(writeDescriptor),
    };
  } finally {
    await rm(directory, { recursive: true });
  }
}

/** Reads what a non-blocking descriptor has at the moment, up to 64 KiB. Empty when that is nothing. */
export function readAvailable(descriptor: number): Buffer {
  const block = Buffer.allocUnsafe(BLOCK_BYTES);
  try {
    return block.subarray(0, readSync(descriptor, block));
  } catch (error) {
    if (NOTHING_TO_READ.includes((error as NodeJS.ErrnoException).code)) return block.subarray(0, 0);
    throw error;
  }
}

/**
 * Reads a pipe until no process has its writing end open; or until some time after
 * the command has exited, since daemons that it has started may keep it open.
 */
export class LingeringOutput extends Readable {
  readonly #pipe: Readable;
  readonly #descriptor: number;
  #timer: NodeJS.Timeout | undefined;
  #isOver = false;

  constructor({ readable, readDescriptor }: Pick<OutputPipe, 'readable' | 'readDescriptor'>) {
    super();
    this.#pipe = readable;
    this.#descriptor = readDescriptor;
    readable.on('data', this.#onData);
    readable.once('end', () => this.#end());
    readable.once('error', (error) => this.destroy(error));
  }

  /** Ends after `lingerMs`, with what is in the pipe then, even if others could still write to it. */
  endSoon(lingerMs: number): void {
    if (this.#isOver) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#endNow(), lingerMs);
  }

  override _read(): void {
    this.#pipe.resume();
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#pipe.destroy();
    callback(error);
  }

  readonly #onData = (bytes: Buffer): void => {
    if (!this.push(bytes)) this.#pipe.pause();
  };

  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.push(null);
  }

  #endNow(): void {
    const pipe = this.#pipe.off('data', this.#onData).pause();
    try {
      // First what Node has read already.
      for (let bytes = pipe.read(); bytes !== null; bytes = pipe.read()) this.push(bytes);
      this.#drain();
      this.#end();
      pipe.destroy();
    } catch (error) {
      this.destroy(error as Error);
    }
  }

  /** Reads what the system holds: even if the reader is slow, what was written before the end is part of the output. */
  #drain(): void {
    for (let taken = 0; taken < MAX_PIPE_BYTES; ) {
      const bytes = readAvailable(this.#descriptor);
      if (bytes.length === 0) return;
      taken += bytes.length;
      this.push(bytes);
    }
  }
}
