import { closeSync, constants, fstatSync, openSync, readlinkSync, readSync } from 'node:fs';
import { Socket } from 'node:net';
import { devNull } from 'node:os';
import { Readable } from 'node:stream';
import { isatty } from 'node:tty';
import { openAnew } from './own-descriptor.ts';

const READ_BYTES = 64 * 1024;

/** More than a pipe holds, unless the system's administrator has allowed it. */
const MAX_HELD_BYTES = 1024 * 1024;

/**
 * Puts streams of this process's own in the place of `process.stdin`, `stdout` and
 * `stderr` where those are pipes. Node's would change the pipe for all that share it as
 * soon as anybody looks at them, which Node itself does when it closes a socket, or
 * loads some of its modules: so this comes before all else is loaded.
 */
export function leaveSharedPipes(): void {
  replace('stdin', openInput);
  replace('stdout', () => openOutput(1));
  replace('stderr', () => openOutput(2));
}

/**
 * Puts nothing in the place of terminals that were closed; to be called when the process ends. Node 20
 * sets the terminals that it has found back to how they were, and aborts where that cannot be.
 */
export function leaveClosedTerminals(): void {
  for (const descriptor of [0, 1, 2]) {
    if (!isClosedTerminal(descriptor)) continue;
    closeSync(descriptor);
    // Takes the lowest number, which is the one that has become free.
    openSync(devNull, 'r+');
  }
}

/** Devices that are no terminals, such as that of nothing, count as closed, too: at the end they are as good. */
function isClosedTerminal(descriptor: number): boolean {
  try {
    return fstatSync(descriptor).isCharacterDevice() && !isatty(descriptor);
  } catch {
    // Not open at all.
    return false;
  }
}

/** @param open returns undefined where Node's own is to stay */
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
  const own = openAnew(descriptor, constants.O_WRONLY);
  if (own === undefined) return undefined;
  const socket = new Socket({ fd: own, readable: false, writable: true });
  return Object.assign(socket, { fd: descriptor });
}

function openInput(): Readable | undefined {
  const own = openAnew(0, constants.O_RDONLY);
  if (own === undefined) return undefined;
  const isNamed = !readlinkSync('/proc/self/fd/0').startsWith('pipe:');
  const { bytes, isAll } = isNamed ? whatIsHeld(own) : { bytes: Buffer.alloc(0), isAll: false };
  if (isAll) {
    closeSync(own);
    return Readable.from([bytes], { objectMode: false });
  }
  const socket = new Socket({ fd: own, readable: true, writable: false });
  socket.unshift(bytes);
  return socket;
}

/**
 * Reads what a pipe with a name holds. Who opens it when its last writer has left is
 * told of bytes, but never of the end: the system takes them for one who waits for the first writer.
 *
 * @returns `isAll` when that was the end
 */
function whatIsHeld(descriptor: number): { bytes: Buffer; isAll: boolean } {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    // Who reads more than it holds has a writer.
    while (bytes <= MAX_HELD_BYTES) {
      const chunk = Buffer.alloc(READ_BYTES);
      const length = readSync(descriptor, chunk);
      if (length === 0) return { bytes: Buffer.concat(chunks), isAll: true };
      bytes += length;
      chunks.push(chunk.subarray(0, length));
    }
  } catch {
    // It holds nothing more for the moment: somebody has it open to write.
  }
  return { bytes: Buffer.concat(chunks), isAll: false };
}
