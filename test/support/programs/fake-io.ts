import { PassThrough, Readable } from 'node:stream';
import type { CommandIo } from '../../../src/cli/io/io.ts';

/** A process without input, signals and terminals, and what was written there since the last question. */
export function fakeIo(): { io: CommandIo; stdout: () => string; stderr: () => string } {
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  const io: CommandIo = {
    stdin: Readable.from([]),
    stdout,
    stderr,
    ignoresHangUp: false,
    isAtTerminal: false,
    onStopSignal: () => () => undefined,
    onUncaught: () => () => undefined,
    exit: () => undefined,
  };
  // All of it: newer versions of Node read it piece by piece.
  const written = (stream: PassThrough) => String(stream.read(stream.readableLength) ?? '');
  return { io, stdout: () => written(stdout), stderr: () => written(stderr) };
}
