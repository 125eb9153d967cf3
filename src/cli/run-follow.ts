import type { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Command } from 'commander';
import { follow } from '../client/follow.ts';
import { type CommandIo, messageOf } from './io.ts';
import { parseArguments } from './parse-arguments.ts';

/**
 * Runs `httpfstream-follow`: writes the resource at a URL to standard output,
 * until its appender ends.
 *
 * @param argv arguments without the program's name
 * @returns the exit code: 0 when the stream ended or standard output was closed, else 1
 */
export async function runFollow(argv: readonly string[], io: CommandIo): Promise<number> {
  const command = new Command('httpfstream-follow')
    .description(
      'Writes a resource on an httpfstream server to standard output: what is there, then what comes.',
    )
    .usage('[-v] URL')
    .argument('<URL>', 'http or https URL of the resource')
    .option('-v, --verbose', 'tell what is being done')
    .helpOption('-h, --help', 'show this help')
    .addHelpText('after', HELP);
  const { exitCode } = parseArguments(command, argv, io, 1);
  if (exitCode !== undefined) return exitCode;

  const [url] = command.args as [string];
  const log = (line: string) => io.stderr.write(`${line}\n`);
  const logVerbose = command.opts().verbose ? log : () => undefined;
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
    return 1;
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

const HELP = `
Exit codes: 0 the stream ended, or standard output was closed; 1 failure, a broken stream, or wrong usage.

Examples:
  httpfstream-follow http://localhost:8080/foo.txt
  httpfstream-follow http://localhost:8080/builds/42.log | grep --line-buffered error`;
