import type { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { follow } from '../client/follow.ts';
import { EXIT_FAILURE, parseClientCommand } from './client-command.ts';
import { type CommandIo, messageOf } from './io.ts';

/**
 * Runs `httpfstream-follow`: writes the resource at a URL to standard output,
 * until its appender ends.
 *
 * @param argv arguments without the program's name
 * @returns the exit code: 0 when the stream ended or standard output was closed, else 1
 */
export async function runFollow(argv: readonly string[], io: CommandIo): Promise<number> {
  const command = parseClientCommand(COMMAND, argv, io);
  if (typeof command === 'number') return command;
  const { url, log, logVerbose } = command;
  logVerbose(`following data at ${url} (ctrl-C to exit)`);

  let failure = 'failed to begin following';
  try {
    const readable = follow(url).once('open', () => {
      failure = 'error following';
    });
    const bytes = await copy(readable, io.stdout);
    logVerbose(`finished following (read ${bytes} bytes)`);
    return 0;
  } catch (error) {
    log(`${failure} ${url}: ${messageOf(error)}`);
    return EXIT_FAILURE;
  }
}

/**
 * Copies until the end of `readable`, or until nobody reads `writable` any more.
 *
 * @returns how many bytes were read
 */
async function copy(readable: Readable, writable: Writable): Promise<number> {
  let bytes = 0;
  readable.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
  });
  try {
    await pipeline(readable, writable, { end: false });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPIPE') throw error;
  }
  return bytes;
}

const COMMAND = {
  name: 'httpfstream-follow',
  description:
    'Writes a resource on an httpfstream server to standard output: what is there, then what comes.',
  help: `
Exit codes: 0 the stream ended, or standard output was closed; 1 failure, a broken stream, or wrong usage.

Examples:
  httpfstream-follow http://localhost:8080/foo.txt
  httpfstream-follow http://localhost:8080/builds/42.log | grep --line-buffered error`,
};
