import { execFile } from 'node:child_process';
import { closeSync, constants, openSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { Socket } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { messageOf } from './io.ts';

/** Both ends of a pipe. */
export interface OutputPipe {
  /** Ends when no process has the writing end any more. */
  readable: Readable;
  /** What that reads from; belongs to it. */
  readDescriptor: number;
  /** For one child process or more, as their stdout and stderr. */
  writeDescriptor: number;
  /** Closes the writing end in this process, so that the readable can end. */
  closeWriteDescriptor(): void;
}

/**
 * Makes a pipe of the operating system. Those that Node makes for child
 * processes are sockets, one for stdout and one for stderr: their order is lost,
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
    // Would wait for a writer otherwise.
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
