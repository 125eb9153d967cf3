import { Command } from 'commander';
import { VERSION } from '../../wire/version.ts';
import type { CommandIo } from '../io/io.ts';
import { parseArguments } from '../parse-arguments.ts';
import { addServerOptions, type ServerOptions } from './server-options.ts';

/**
 * Runs `httpfstream-server` until SIGINT, SIGTERM or SIGHUP.
 *
 * @param argv arguments without the program's name
 * @returns the exit code: 0 after an orderly stop, 1 when it cannot run (any longer), 2 for a bad option; with `--check` what `runCheck` returns
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
  // Loaded only to be run: the server and its libraries are most of what a start costs, and help, mistakes and checks do without.
  if (options.check) {
    const { runCheck } = await import('./check-command.ts');
    return runCheck(options.root, io);
  }
  const { serve } = await import('./serve.ts');
  return serve(options, io);
}

const HELP = `
Every option may have one dash or two, and its value may follow "=" or a space.
SIGINT, SIGTERM or SIGHUP closes in order; a second one ends the process at once. Under nohup, SIGHUP is nothing.

Exit codes: 0 closed in order; 1 cannot run, or has met an error that nobody expected; 2 wrong usage.
With --check: 0 all is well, or was put right; 1 something was lost or cannot be put right; 2 wrong usage.

Examples:
  httpfstream-server                                  ./data on port 8080, for this machine only
  httpfstream-server -root=/srv/logs -http=:9000      for everybody who can reach it
  httpfstream-server -http 127.0.0.1:8080 -trust-proxy -allow-host logs.example.com
  HTTPFSTREAM_ROOT=/srv/logs httpfstream-server
  httpfstream-server --check -root /srv/logs          verify and repair, while no server runs`;
