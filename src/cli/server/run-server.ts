import { Command } from 'commander';
import { VERSION } from '../../wire/version.ts';
import { type CommandIo, messageOf } from '../io/io.ts';
import { EXIT_USAGE, parseArguments } from '../parse-arguments.ts';
import { applyConfigFile, ConfigError } from './config-file.ts';
import { addServerOptions, type ServerOptions } from './server-options.ts';
import { SaidOptions } from './shown-config.ts';

/**
 * Runs `httpfstream-server` until SIGINT or SIGTERM, or, at a terminal, SIGHUP; or prints what is in force
 * (`config`), or edits the file of `-auth` (`token`).
 *
 * @param argv arguments without the program's name
 * @returns the exit code: that of `serve`, of `token` or, with `--check`, of {@link check}; 2 for wrong usage
 */
export async function runServer(argv: readonly string[], io: CommandIo): Promise<number> {
  if (argv[0] === 'token') {
    const { runToken } = await import('./run-token.ts');
    return runToken(argv.slice(1), io);
  }
  const isShown = argv[0] === 'config';
  const args = isShown ? argv.slice(1) : argv;
  let parsed: Parsed;
  try {
    parsed = await parseServerOptions(args, io);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    io.stderr.write(`httpfstream-server: ${error.message}\n`);
    return EXIT_USAGE;
  }
  if (parsed.exitCode !== undefined) return parsed.exitCode;
  const { options, table } = parsed;
  if (isShown) {
    io.stdout.write(table);
    return 0;
  }
  if (options.check) return check(options.root, io);
  // Loaded only if it is needed: the server and its libraries take most of the time of a start.
  const { serve } = await import('./serve.ts');
  return serve(options, io, async () => {
    const again = await parseServerOptions(args, io);
    // They are the arguments that were parsed before.
    if (again.exitCode !== undefined) throw new Error('the arguments are wrong');
    return again.options;
  });
}

type Parsed = { exitCode: number } | { exitCode?: undefined; options: ServerOptions; table: string };

/**
 * Parses the arguments, and what the environment and a configuration file say besides. What is wrong with arguments is
 * told.
 *
 * @throws {ConfigError} of the file, and of options that do not go together
 */
async function parseServerOptions(argv: readonly string[], io: CommandIo): Promise<Parsed> {
  const command = addServerOptions(new Command('httpfstream-server'))
    .usage('[config | token] [options]')
    .description('Serves the files below a directory over HTTP, to append to and to follow.')
    .version(VERSION, '--version', 'show the version')
    .helpOption('-h, --help', 'show this help')
    .addHelpText('after', HELP);
  const said = new SaidOptions(command);
  const { exitCode } = parseArguments(command, argv, io);
  if (exitCode !== undefined) return { exitCode };
  const file = command.opts<ServerOptions>().config;
  const taken = file === undefined ? new Map<string, unknown>() : await applyConfigFile(command, file);
  const options = command.opts<ServerOptions>();
  if (options.tlsCert.length !== options.tlsKey.length) {
    throw new ConfigError('each -tls-cert needs a -tls-key, and the other way round');
  }
  if (options.auth !== undefined && options.upstreamAuthorization.length > 0) {
    throw new ConfigError(
      '-auth and -upstream-authorization exclude each other: the token of a user is for this server, or for another one',
    );
  }
  return { options, table: said.table(command, file ?? '', taken) };
}

/**
 * Checks and repairs a root: a line on stdout for each finding, and one at the end.
 *
 * @returns the exit code: 0 when all is well or was repaired; 1 when something was lost, could not be
 *   repaired, or a server uses the root
 */
async function check(root: string, io: CommandIo): Promise<number> {
  // As without a listener, which the first process of a container would need to end at all.
  const endListening = io.onStopSignal((signal) => {
    endListening();
    io.exit(signal);
  });
  try {
    const { checkDirectory } = await import('../../server/check-directory.ts');
    const isWell = await checkDirectory(root, (line) => io.stdout.write(`${line}\n`));
    return isWell ? 0 : 1;
  } catch (error) {
    io.stderr.write(`httpfstream-server: ${messageOf(error)}\n`);
    return 1;
  } finally {
    endListening();
  }
}

const HELP = `
Every option may have one dash or two, and its value may follow "=" or a space.
SIGINT or SIGTERM closes in order; a second one ends the process at once. SIGHUP reads again what can be replaced while
the server runs (the file of -auth, certificates, limits and -log-level in the file of -config); at a terminal, which
has gone then, it closes. Under nohup, SIGHUP is nothing.
httpfstream-server token add|list|revoke edits the file of -auth; each has a help of its own.
httpfstream-server config, with the same options, prints what is in force, and ends.

Exit codes: 0 closed in order; 1 cannot run, or has met an error that nobody expected; 2 wrong usage.
With --check: 0 all is well, or was put right; 1 something was lost or cannot be put right; 2 wrong usage.

Examples:
  httpfstream-server                                  ./data on port 8080, for this machine only
  httpfstream-server -root=/srv/logs -http=:9000      for everybody who can reach it
  httpfstream-server -http 127.0.0.1:8080 -trust-proxy -allow-host logs.example.com
  HTTPFSTREAM_ROOT=/srv/logs httpfstream-server
  httpfstream-server token add ci -auth /etc/httpfstream/auth.json -rights append -paths '/builds/**'
  httpfstream-server -auth /etc/httpfstream/auth.json
  httpfstream-server config -config /etc/httpfstream.json   what is in force, and where that comes from
  httpfstream-server --check -root /srv/logs          verify and repair, while no server runs`;
