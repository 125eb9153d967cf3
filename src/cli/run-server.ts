import fs from 'node:fs';
import type { AddressInfo } from 'node:net';
import { Command } from 'commander';
import type { FastifyInstance } from 'fastify';
import { type Logger, pino } from 'pino';
import { ServerSockets } from '../server/node/server-sockets.ts';
import { createStandaloneServer } from '../server/standalone.ts';
import { runCheck } from './check-command.ts';
import { type CommandIo, messageOf } from './io.ts';
import { listen } from './listen.ts';
import { formatListenAddress, hostToAsk, isLoopback } from './listen-address.ts';
import { LogOutput } from './log-output.ts';
import { packageVersion } from './package-version.ts';
import { parseArguments } from './parse-arguments.ts';
import { addServerOptions, type ServerOptions } from './server-options.ts';
import { isSocketError } from './socket-error.ts';

const EXIT_FAILURE = 1;
const EXIT_USAGE = 2;

/** How long a server that closes because of an error of its own may take for that: more than it needs. */
const FAILED_CLOSE_MS = 10_000;

/**
 * Runs `httpfstream-server` until SIGINT or SIGTERM.
 *
 * @param argv arguments without the program's name
 * @returns the exit code: 0 after an orderly stop, 1 when it cannot run (any longer), 2 for a bad option; with `--check` what {@link runCheck} returns
 */
export async function runServer(argv: readonly string[], io: CommandIo): Promise<number> {
  const command = addServerOptions(new Command('httpfstream-server'))
    .description('Serves the files below a directory over HTTP, to append to and to follow.')
    .version(packageVersion(), '--version', 'show the version')
    .helpOption('-h, --help', 'show this help')
    .addHelpText('after', HELP);
  const { exitCode } = parseArguments(command, argv, io, EXIT_USAGE);
  if (exitCode !== undefined) return exitCode;

  const { root, http, check, logLevel, ...options } = command.opts<ServerOptions>();
  const fail = (message: string) => {
    io.stderr.write(`httpfstream-server: ${message}\n`);
    return EXIT_FAILURE;
  };
  if (check) return runCheck(root, io);
  let app: FastifyInstance;
  try {
    app = await createStandaloneServer({
      root,
      durability: options.durability,
      graceMs: Math.round(options.grace * 1000),
      longPollMs: Math.round(options.longPoll * 1000),
      corsOrigins: options.cors,
      allowedHosts: options.allowHost,
      index: options.index,
      trustProxy: options.trustProxy,
      logger: await makeLogger(logLevel, io),
    });
  } catch (error) {
    return fail(messageOf(error));
  }
  let restoreSignals = () => {};
  let restoreUncaught = () => {};
  let isSound = true;
  let isClosing = false;
  /** Resets first what is not finished: what the system closes for a process that is gone looks finished to some. */
  const endAtOnce = (how: number | NodeJS.Signals) => {
    ServerSockets.of(app.server).cut();
    io.exit(how);
  };
  // From before the first client can know that it listens.
  const stopped = new Promise<NodeJS.Signals | undefined>((resolve) => {
    restoreSignals = io.onStopSignal((signal) => {
      if (!isClosing) {
        isClosing = true;
        resolve(signal);
        return;
      }
      restoreSignals();
      endAtOnce(signal);
    });
    restoreUncaught = io.onUncaught((error) => {
      // A socket with an error is closed by now: it is over with that one connection.
      const isOfSocket = isSocketError(error);
      app.log.error({ err: error }, isOfSocket ? 'a connection failed' : 'an error that nobody expected');
      if (isOfSocket || !isSound) return;
      isSound = false;
      isClosing = true;
      setTimeout(() => endAtOnce(EXIT_FAILURE), FAILED_CLOSE_MS).unref();
      resolve(undefined);
    });
  });
  try {
    await listen(app, http);
  } catch (error) {
    restoreSignals();
    await app.close();
    restoreUncaught();
    return fail(`cannot listen on ${formatListenAddress(http)}: ${listenFailure(error)}`);
  }

  const { port } = app.server.address() as AddressInfo;
  const url = `http://${formatListenAddress({ host: hostToAsk(http), port })}/`;
  app.log.info({ root, url }, 'ready');
  if (!isLoopback(http)) {
    app.log.warn('there are no rights: whoever reaches this address can read, append and delete');
  }
  if (io.stdout.isTTY) io.stdout.write(firstSteps(url));
  const signal = await stopped;
  app.log.info(signal === undefined ? {} : { signal }, 'closing');
  await app.close();
  app.log.info('closed');
  restoreSignals();
  restoreUncaught();
  return isSound ? 0 : EXIT_FAILURE;
}

async function makeLogger(level: string, { stdout }: CommandIo): Promise<Logger> {
  const { isTTY = false, fd } = stdout;
  // Node lets a terminal that was stopped (Ctrl-S) stop the whole process.
  const stream = isTTY && fd !== undefined ? fs.createWriteStream('', { fd, autoClose: false }) : stdout;
  const output = new LogOutput(stream, (count) =>
    logger.error({ count }, `${count} log lines were dropped: nobody had read those before them`),
  );
  const logger = isTTY ? await prettyLogger(level, output) : pino({ level }, output);
  return logger;
}

async function prettyLogger(level: string, output: LogOutput): Promise<Logger> {
  const { prettyFactory } = await import('pino-pretty');
  const pretty = prettyFactory({ translateTime: 'SYS:HH:MM:ss' });
  return pino({ level, base: null }, { write: (line) => output.write(pretty(line)) });
}

/** What to try, for somebody who has started a server and sees it. */
function firstSteps(url: string): string {
  return `
  ${url}

  Append, and follow in another terminal:
    date | curl -T - '${url}hello.log?verb=APPEND'
    curl -N '${url}hello.log?verb=FOLLOW&wait=60'

`;
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

Exit codes: 0 closed in order; 1 cannot run, or has met an error that nobody expected; 2 wrong usage.
With --check: 0 all is well, or was put right; 1 something was lost or cannot be put right; 2 wrong usage.

Examples:
  httpfstream-server                                  ./data on port 8080, for this machine only
  httpfstream-server -root=/srv/logs -http=:9000      for everybody who can reach it
  httpfstream-server -http 127.0.0.1:8080 -trust-proxy -allow-host logs.example.com
  HTTPFSTREAM_ROOT=/srv/logs httpfstream-server
  httpfstream-server --check -root /srv/logs          verify and repair, while no server runs`;
