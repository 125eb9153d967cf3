import fs from 'node:fs';
import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { type Logger, pino } from 'pino';
import { descriptorLimit, liveResourcesWithin } from '../../server/node/descriptor-limit.ts';
import { ServerSockets } from '../../server/node/server-sockets.ts';
import { createStandaloneServer } from '../../server/standalone.ts';
import { type CommandIo, messageOf } from '../io/io.ts';
import { assertCanListen, listen } from './listen.ts';
import { formatListenAddress, hostToAsk, isLoopback } from './listen-address.ts';
import { LogOutput } from './log-output.ts';
import type { ServerOptions } from './server-options.ts';
import { isSocketError } from './socket-error.ts';

const EXIT_FAILURE = 1;

/** How long a server that closes because of an error of its own may take for that: more than it needs. */
const FAILED_CLOSE_MS = 10_000;

/** As many live resources as one server may well be given: its limit of descriptors is to be no surprise then. */
const MANY_RESOURCES = 10_000;

/**
 * Serves until SIGINT, SIGTERM or SIGHUP.
 *
 * @returns the exit code: 0 after an orderly stop, 1 when it cannot run (any longer)
 */
export async function serve(
  { root, http, logLevel, ...options }: ServerOptions,
  io: CommandIo,
): Promise<number> {
  // A start is given up at once: it can be repeated. The first process of a container would miss what nobody listens to.
  const endStart = io.onStopSignal((signal) => {
    endStart();
    io.exit(signal);
  });
  const fail = (message: string) => {
    endStart();
    io.stderr.write(`httpfstream-server: ${message}\n`);
    return EXIT_FAILURE;
  };
  const failToListen = (error: unknown) =>
    fail(`cannot listen on ${formatListenAddress(http)}: ${listenFailure(error)}`);
  try {
    await assertCanListen(http);
  } catch (error) {
    return failToListen(error);
  }
  let app: FastifyInstance;
  const { logger, output } = await makeLogger(logLevel, io);
  try {
    app = await createStandaloneServer({
      root,
      durability: options.durability,
      fileMode: options.fileMode,
      graceMs: Math.round(options.grace * 1000),
      longPollMs: Math.round(options.longPoll * 1000),
      corsOrigins: options.cors,
      allowedHosts: options.allowHost,
      index: options.index,
      trustProxy: options.trustProxy,
      logger,
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
  endStart();
  try {
    await listen(app, http);
  } catch (error) {
    restoreSignals();
    await app.close();
    restoreUncaught();
    return failToListen(error);
  }

  const { port } = app.server.address() as AddressInfo;
  const url = `http://${formatListenAddress({ host: hostToAsk(http), port })}/`;
  warnOfFewDescriptors(logger);
  app.log.info({ root, url }, 'ready');
  if (!isLoopback(http)) {
    app.log.warn('there are no rights: whoever reaches this address can read, append and delete');
  }
  // Behind what was logged.
  if (io.stdout.isTTY) output.write(firstSteps(url));
  const signal = await stopped;
  app.log.info(signal === undefined ? {} : { signal }, 'closing');
  await app.close();
  app.log.info('closed');
  restoreSignals();
  restoreUncaught();
  return isSound ? 0 : EXIT_FAILURE;
}

function warnOfFewDescriptors(logger: Logger): void {
  const openFiles = descriptorLimit();
  const liveResources = liveResourcesWithin(openFiles);
  if (liveResources >= MANY_RESOURCES) return;
  logger.warn(
    { openFiles, liveResources },
    `this process may open ${openFiles} files: enough for about ${liveResources} live resources with an appender ` +
      'and a follower each; raise its hard limit (ulimit -Hn) for more',
  );
}

async function makeLogger(
  level: string,
  { stdout }: CommandIo,
): Promise<{ logger: Logger; output: LogOutput }> {
  const { isTTY = false, fd } = stdout;
  // Node lets a terminal that was stopped (Ctrl-S) stop the whole process.
  const stream = isTTY && fd !== undefined ? fs.createWriteStream('', { fd, autoClose: false }) : stdout;
  const output = new LogOutput(stream, (count) =>
    logger.error({ count }, `${count} log lines were dropped: nobody had read those before them`),
  );
  const logger = isTTY ? await prettyLogger(level, output) : pino({ level }, output);
  return { logger, output };
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
