import { Command } from 'commander';
import { VERSION } from '../../wire/version.ts';
import { type CommandIo, messageOf } from '../io/io.ts';
import { EXIT_USAGE, parseArguments } from '../parse-arguments.ts';
import { addServerOptions, type ServerOptions } from './server-options.ts';

/**
 * Runs `httpfstream-server` until SIGINT or SIGTERM, or, at a terminal, SIGHUP.
 *
 * @param argv arguments without the program's name
 * @returns the exit code: that of `serve` or, with `--check`, of {@link check}; 2 for wrong usage
 */
export async function runServer(argv: readonly string[], io: CommandIo): Promise<number> {
  const command = addServerOptions(new Command('httpfstream-server'))
    .description('Serves the files below a directory over HTTP, to append to and to follow.')
    .version(VERSION, '--version', 'show the version')
    .helpOption('-h, --help', 'show this help')
    .addHelpText('after', HELP);
  const { exitCode } = parseArguments(command, argv, io);
  if (exitCode !== undefined) return exitCode;

  const options = command.opts<ServerOptions>();
  if (options.check) return check(options.root, io);
  if (options.tlsCert.length !== options.tlsKey.length) {
    io.stderr.write('httpfstream-server: each -tls-cert needs a -tls-key, and the other way round\n');
    return EXIT_USAGE;
  }
  // Loaded only if it is needed: the server and its libraries take most of the time of a start.
  const { serve } = await import('./serve.ts');
  return serve(options, io);
}

/**
 * Checks and repairs a root: a line on stdout for each finding, and one at the end.
 *
 * @returns the exit code: 0 when all is well or was repaired; 1 when something was lost, could not be
 *   repaired, or a server uses the root
 */
async function check(root: string, io: CommandIo): Promise<number> {
  try {
    const { checkDirectory } = await import('../../server/check-directory.ts');
    const isWell = await checkDirectory(root, (line) => io.stdout.write(`${line}\n`));
    return isWell ? 0 : 1;
  } catch (error) {
    io.stderr.write(`httpfstream-server: ${messageOf(error)}\n`);
    return 1;
  }
}

const HELP = `
Every option may have one dash or two, and its value may follow "=" or a space.
SIGINT or SIGTERM closes in order; a second one ends the process at once. SIGHUP reads again what can be replaced while
the server runs (certificates); at a terminal, which has gone then, it closes. Under nohup, SIGHUP is nothing.

Exit codes: 0 closed in order; 1 cannot run, or has met an error that nobody expected; 2 wrong usage.
With --check: 0 all is well, or was put right; 1 something was lost or cannot be put right; 2 wrong usage.

Examples:
  httpfstream-server                                  ./data on port 8080, for this machine only
  httpfstream-server -root=/srv/logs -http=:9000      for everybody who can reach it
  httpfstream-server -http 127.0.0.1:8080 -trust-proxy -allow-host logs.example.com
  HTTPFSTREAM_ROOT=/srv/logs httpfstream-server
  httpfstream-server --check -root /srv/logs          verify and repair, while no server runs`;
