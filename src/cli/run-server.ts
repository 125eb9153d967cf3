import { Command, InvalidArgumentError, Option } from 'commander';
import type { FastifyInstance } from 'fastify';
import { type Logger, pino } from 'pino';
import { PinoPretty } from 'pino-pretty';
import type { HttpfstreamOptions } from '../server/settings.ts';
import { createStandaloneServer } from '../server/standalone.ts';
import { type CommandIo, messageOf } from './io.ts';
import { formatListenAddress, type ListenAddress, parseListenAddress } from './listen-address.ts';
import { packageVersion } from './package-version.ts';
import { parseArguments } from './parse-arguments.ts';

const EXIT_FAILURE = 1;
const EXIT_USAGE = 2;

/** What a timer takes, and more than anybody waits: a day. */
const MAX_GRACE_SECONDS = 86_400;

interface ServerCommandOptions {
  root: string;
  http: ListenAddress;
  durability: NonNullable<HttpfstreamOptions['durability']>;
  grace: number;
  logLevel: string;
}

/**
 * Runs `httpfstream-server` until SIGINT or SIGTERM.
 *
 * @param argv arguments without the program's name
 * @returns the exit code: 0 after an orderly stop, 1 when it cannot run, 2 for a bad option
 */
export async function runServer(argv: readonly string[], io: CommandIo): Promise<number> {
  const command = new Command('httpfstream-server')
    .description('Serves the files below a directory over HTTP, to append to and to follow.')
    .addOption(
      new Option('--root <DIR>', 'directory that holds the files; made if it is missing')
        .env('HTTPFSTREAM_ROOT')
        .default('./data'),
    )
    .addOption(
      new Option('--http <ADDR>', 'address to listen on; without a host, all interfaces')
        .env('HTTPFSTREAM_HTTP')
        .argParser(listenAddressOption)
        .default({ port: 8080 }, ':8080'),
    )
    .addOption(
      new Option('--durability <LEVEL>', 'acknowledge bytes when the system (os) or the disk (disk) has them')
        .env('HTTPFSTREAM_DURABILITY')
        .choices(['os', 'disk'])
        .default('os'),
    )
    .addOption(
      new Option('--grace <SECONDS>', 'how long an append waits for a client whose connection broke')
        .env('HTTPFSTREAM_GRACE')
        .argParser(secondsOption)
        .default(15),
    )
    .addOption(
      new Option('--log-level <LEVEL>', 'how much to log')
        .env('HTTPFSTREAM_LOG_LEVEL')
        .choices(['debug', 'info', 'warn', 'error', 'silent'])
        .default('info'),
    )
    .version(packageVersion(), '--version', 'show the version')
    .helpOption('-h, --help', 'show this help')
    .addHelpText('after', HELP);
  const { exitCode } = parseArguments(command, argv, io, EXIT_USAGE);
  if (exitCode !== undefined) return exitCode;

  const { root, http, durability, grace, logLevel } = command.opts<ServerCommandOptions>();
  const fail = (message: string) => {
    io.stderr.write(`httpfstream-server: ${message}\n`);
    return EXIT_FAILURE;
  };
  let app: FastifyInstance;
  try {
    app = await createStandaloneServer({
      root,
      durability,
      graceMs: Math.round(grace * 1000),
      logger: makeLogger(logLevel, io),
    });
  } catch (error) {
    return fail(messageOf(error));
  }
  let restoreSignals = () => {};
  // From before the first client can know that it listens.
  const stopped = new Promise<NodeJS.Signals>((resolve) => {
    // Undone at the first signal, so that a second one ends the process at once.
    restoreSignals = io.onStopSignal((signal) => {
      restoreSignals();
      resolve(signal);
    });
  });
  try {
    await listen(app, http);
  } catch (error) {
    restoreSignals();
    await app.close();
    return fail(`cannot listen on ${formatListenAddress(http)}: ${listenFailure(error)}`);
  }

  app.log.info({ root }, 'ready');
  const signal = await stopped;
  app.log.info({ signal }, 'closing');
  await app.close();
  app.log.info('closed');
  return 0;
}

async function listen(app: FastifyInstance, { host, port }: ListenAddress): Promise<void> {
  try {
    await app.listen({ host: host ?? '::', port });
  } catch (error) {
    const hasNoIpv6 = (error as NodeJS.ErrnoException).code === 'EAFNOSUPPORT';
    if (host !== undefined || !hasNoIpv6) throw error;
    await app.listen({ host: '0.0.0.0', port });
  }
}

function makeLogger(level: string, io: CommandIo): Logger {
  if (!io.stdout.isTTY) return pino({ level }, io.stdout);
  return pino(
    { level, base: null },
    PinoPretty({ destination: io.stdout, sync: true, translateTime: 'SYS:HH:MM:ss' }),
  );
}

function listenAddressOption(text: string): ListenAddress {
  const address = parseListenAddress(text);
  if (address === undefined)
    throw new InvalidArgumentError('It must look like :8080, localhost:8080 or [::1]:8080.');
  return address;
}

function secondsOption(text: string): number {
  const seconds = Number(text);
  if (text.trim() === '' || !(seconds >= 0 && seconds <= MAX_GRACE_SECONDS)) {
    throw new InvalidArgumentError(`It must be a number of seconds, at most ${MAX_GRACE_SECONDS}.`);
  }
  return seconds;
}

function listenFailure(error: unknown): string {
  switch ((error as NodeJS.ErrnoException).code) {
    case 'EADDRINUSE':
      return 'the port is in use';
    case 'EACCES':
      return 'this user may not use that port';
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return 'this machine has no such address';
    default:
      return messageOf(error);
  }
}

const HELP = `
Every option may have one dash or two, and its value may follow "=" or a space.
SIGINT or SIGTERM closes in order; a second one ends the process at once.

Exit codes: 0 closed in order; 1 cannot run; 2 wrong usage.

Examples:
  httpfstream-server                                  ./data on port 8080, all interfaces
  httpfstream-server -root=/srv/logs -http=:9000
  httpfstream-server -http localhost:8080 -log-level warn
  HTTPFSTREAM_ROOT=/srv/logs httpfstream-server`;
