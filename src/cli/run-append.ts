import { finished } from 'node:stream/promises';
import { openAppend } from '../client/open-append.ts';
import { EXIT_FAILURE, parseClientCommand } from './client-command.ts';
import { type CommandIo, EXIT_INTERRUPTED, messageOf } from './io.ts';

/**
 * Runs `httpfstream-append`: appends standard input to the resource at a URL.
 *
 * @param argv arguments without the program's name
 * @returns the exit code: 0 when everything was appended, 130 after Ctrl-C, else 1
 */
export async function runAppend(argv: readonly string[], io: CommandIo): Promise<number> {
  const command = parseClientCommand(COMMAND, argv, io);
  if (typeof command === 'number') return command;
  const { url, log, logVerbose } = command;
  logVerbose(`appending from stdin to ${url}`);
  try {
    const isInterrupted = await appendFrom(url, io);
    logVerbose(`finished appending from stdin to ${url}`);
    return isInterrupted ? EXIT_INTERRUPTED : 0;
  } catch (error) {
    log(`failed to append from stdin to ${url}: ${messageOf(error)}`);
    return EXIT_FAILURE;
  } finally {
    io.stdin.destroy();
  }
}

/** Returns whether it was told to stop before the end of standard input. */
async function appendFrom(url: string, io: CommandIo): Promise<boolean> {
  const writable = openAppend(url);
  let isInterrupted = false;
  const restoreSignals = io.onStopSignal(() => {
    // The second time it does not wait for the server any more.
    if (isInterrupted) writable.destroy(new Error('interrupted'));
    isInterrupted = true;
    io.stdin.unpipe(writable);
    writable.end();
  });
  io.stdin.once('error', (error) => writable.destroy(error));
  io.stdin.pipe(writable);
  try {
    await finished(writable);
  } finally {
    restoreSignals();
  }
  return isInterrupted;
}

const COMMAND = {
  name: 'httpfstream-append',
  description: 'Appends standard input to a resource on an httpfstream server, as it comes.',
  help: `
Ctrl-C ends the append cleanly: what was read is sent, and followers see the end.

Exit codes: 0 everything was appended; 1 failure or wrong usage; 130 Ctrl-C.

Examples:
  cat foo.txt | httpfstream-append http://localhost:8080/foo.txt
  make 2>&1 | tee build.log | httpfstream-append -v http://localhost:8080/builds/42.log`,
};
