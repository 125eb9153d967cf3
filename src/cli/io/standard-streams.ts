import { closeSync, constants, fstatSync, openSync, readlinkSync, readSync } from 'node:fs';
import { Socket } from 'node:net';
import { devNull } from 'node:os';
import { Readable } from 'node:stream';
import { isatty } from 'node:tty';

const READ_BYTES = 64 * 1024;

/** More than a pipe holds, unless a privileged process has enlarged it. */
const MAX_HELD_BYTES = 1024 * 1024;

/**
 * Opens the pipe of a descriptor a second time, non-blocking. Node makes a descriptor that it
 * reads or writes non-blocking for all processes that share it, and those would fail where
 * they expect to wait.
 *
 * Undefined for anything but a pipe, and when it cannot be opened: on systems other than
 * Linux, a pipe that another user made, a named one without a reader.
 *
 * @param access `O_RDONLY` or `O_WRONLY`
 */
export function reopenPipe(descriptor: number, access: number): number | undefined {
  if (process.platform !== 'linux') return undefined;
  try {
    if (!fstatSync(descriptor).isFIFO()) return undefined;
    return openSync(`/proc/self/fd/${descriptor}`, access | constants.O_NONBLOCK);
  } catch {
    return undefined;
  }
}

/**
 * Replaces `process.stdin`, `stdout` and `stderr` by streams of this process's own, if they
 * are pipes. Node's would change the pipe for all processes that share it as soon as they are
 * accessed, which Node itself does when it closes a socket, or loads some of its modules: so
 * this comes before anything else is loaded.
 */
export function leaveSharedPipes(): void {
  replace('stdin', openInput);
  replace('stdout', () => openOutput(1));
  replace('stderr', () => openOutput(2));
}

/**
 * Replaces terminals that were closed by the null device; to be called when the process exits. Node 20
 * restores the modes of the terminals that it was started with, and aborts if that fails.
 */
export function leaveClosedTerminals(): void {
  for (const descriptor of [0, 1, 2]) {
    if (!isClosedTerminal(descriptor)) continue;
    closeSync(descriptor);
    // Gets the lowest free number, which is the one that was just closed.
    openSync(devNull, 'r+');
  }
}

/** Other devices, such as the null device, count as closed, too: at exit that makes no difference. */
function isClosedTerminal(descriptor: number): boolean {
  try {
    return fstatSync(descriptor).isCharacterDevice() && !isatty(descriptor);
  } catch {
    // The descriptor is not open.
    return false;
  }
}

/** @param open returns undefined to keep Node's own stream */
function replace(name: 'stdin' | 'stdout' | 'stderr', open: () => Readable | Socket | undefined): void {
  const original = Object.getOwnPropertyDescriptor(process, name) as PropertyDescriptor;
  let stream: unknown;
  const get = () => {
    stream ??= open() ?? original.get?.call(process);
    return stream;
  };
  Object.defineProperty(process, name, { ...original, get });
}

function openOutput(descriptor: 1 | 2): Socket | undefined {
  const own = reopenPipe(descriptor, constants.O_WRONLY);
  if (own === undefined) return undefined;
  const socket = new Socket({ fd: own, readable: false, writable: true });
  return Object.assign(socket, { fd: descriptor });
}

function openInput(): Readable | undefined {
  const own = reopenPipe(0, constants.O_RDONLY);
  if (own === undefined) return undefined;
  const isNamed = !readlinkSync('/proc/self/fd/0').startsWith('pipe:');
  const { bytes, isAll } = isNamed ? readHeldBytes(own) : { bytes: Buffer.alloc(0), isAll: false };
  if (isAll) {
    closeSync(own);
    return Readable.from([bytes], { objectMode: false });
  }
  const socket = new Socket({ fd: own, readable: true, writable: false });
  socket.unshift(bytes);
  return socket;
}

/**
 * Reads what a named pipe holds. A reader that opens it after the last writer has left
 * gets the bytes, but is never notified of the end: the system lets it wait for a first writer.
 *
 * @returns `isAll` when there is no writer left
 */
function readHeldBytes(descriptor: number): { bytes: Buffer; isAll: boolean } {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    // If there is more than the pipe holds, there is a writer.
    while (bytes <= MAX_HELD_BYTES) {
      const chunk = Buffer.alloc(READ_BYTES);
      const length = readSync(descriptor, chunk);
      if (length === 0) return { bytes: Buffer.concat(chunks), isAll: true };
      bytes += length;
      chunks.push(chunk.subarray(0, length));
    }
  } catch {
    // It is empty for the moment, but has a writer.
  }
  return { bytes: Buffer.concat(chunks), isAll: false };
}
