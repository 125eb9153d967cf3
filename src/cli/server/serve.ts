import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import type { FileAccess } from '../../rights/file-access.ts';
import { assertRootIsFree } from '../../server/check-directory.ts';
import { descriptorLimit, liveResourcesWithin } from '../../server/node/descriptor-limit.ts';
import { ServerSockets } from '../../server/node/server-sockets.ts';
import { createServers } from '../../server/standalone.ts';
import { type CommandIo, messageOf } from '../io/io.ts';
import { assertCanListen, listen } from './listen.ts';
import { formatListenAddress, isLoopback, localHost } from './listen-address.ts';
import { openAccess } from './open-access.ts';
import { makeLogger } from './server-log.ts';
import type { ServerOptions } from './server-options.ts';
import { namesOf, upstreamsOf } from './upstreams.ts';

const EXIT_FAILURE = 1;

/** Time limit for closing after an unexpected error: more than it needs. */
const FAILED_CLOSE_MS = 10_000;

/** A server warns if its limit of descriptors allows for fewer live resources than this. */
const MANY_RESOURCES = 10_000;

/** Errors of connections, and of nothing else that a server has open. */
const SOCKET_ERRORS = [
  'ECANCELED',
  'ECONNABORTED',
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENETDOWN',
  'ENETUNREACH',
  'ENOTCONN',
  'EPIPE',
  'ETIMEDOUT',
];

/**
 * Serves until SIGINT, SIGTERM or SIGHUP.
 *
 * @returns the exit code: 0 after an orderly stop, 1 when it could not start, or after an unexpected error
 */
export async function serve(
  { root, http, logLevel, auth, ...options }: ServerOptions,
  io: CommandIo,
): Promise<number> {
  // A start can be aborted at once, since it can be repeated. With a listener, because the first process of a container
  // ignores signals without one.
  const endStart = io.onStopSignal((signal) => {
    endStart();
    io.exit(signal);
  });
  const fail = (message: string) => {
    endStart();
    io.stderr.write(`httpfstream-server: ${message}\n`);
    return EXIT_FAILURE;
  };
  const failToListen = (error: unknown, address = http) =>
    fail(`cannot listen on ${formatListenAddress(address)}: ${listenFailure(error)}`);
  try {
    // Where both are in use, it is the root that matters.
    await assertRootIsFree(root);
  } catch (error) {
    return fail(messageOf(error));
  }
  try {
    await assertCanListen(http);
  } catch (error) {
    return failToListen(error);
  }
  let app: FastifyInstance;
  let admin: FastifyInstance;
  let access: FileAccess | undefined;
  const { logger, output } = await makeLogger(logLevel, io);
  try {
    if (auth !== undefined) access = await openAccess(auth, root, logger);
    const servers = await createServers({
      root,
      ...(access && { access }),
      durability: options.durability,
      fileMode: options.fileMode,
      graceMs: Math.round(options.grace * 1000),
      longPollMs: Math.round(options.longPoll * 1000),
      corsOrigins: options.cors,
      allowedHosts: options.allowHost,
      index: options.index,
      upstreams: await upstreamsOf(options),
      upstreamMaxBytes: options.upstreamMaxBytes,
      upstreamKeepBytes: options.upstreamKeepBytes,
      upstreamKeep: options.upstreamKeep,
      trustProxy: options.trustProxy,
      accessLog: options.accessLog,
      droppedLines: () => output.droppedTotal,
      logger,
    });
    ({ app, admin } = servers);
    app.addHook('onClose', async () => access?.close());
  } catch (error) {
    access?.close();
    return fail(messageOf(error));
  }
  let restoreSignals = () => {};
  let restoreUncaught = () => {};
  let isSound = true;
  let isClosing = false;
  /** Resets unfinished connections first: the system would close them, which looks like a clean end to some clients. */
  const endAtOnce = (how: number | NodeJS.Signals) => {
    ServerSockets.of(app.server).cut();
    io.exit(how);
  };
  // Before it listens, so that no client can signal too early.
  const stopped = new Promise<NodeJS.Signals | undefined>((resolve) => {
    restoreSignals = io.onStopSignal((signal) => {
      // A terminal that is closed sends it, too.
      if (signal === 'SIGHUP' && access !== undefined && !io.stdout.isTTY) {
        void access.reload();
        return;
      }
      if (!isClosing) {
        isClosing = true;
        resolve(signal);
        return;
      }
      restoreSignals();
      endAtOnce(signal);
    });
    restoreUncaught = io.onUncaught((error) => {
      // A socket with an error is closed by now: only that connection is lost.
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
  let address = http;
  try {
    await listen(app, http);
    if (options.admin !== undefined) {
      address = options.admin;
      await listen(admin, address);
    }
  } catch (error) {
    restoreSignals();
    await app.close();
    restoreUncaught();
    return failToListen(error, address);
  }

  const { port } = app.server.address() as AddressInfo;
  const url = `http://${formatListenAddress({ host: localHost(http), port })}/`;
  warnOfFewDescriptors(logger);
  const upstreams = namesOf(options.upstream);
  app.log.info({ root, url, ...(upstreams.length > 0 && { upstreams }) }, 'ready');
  if (access === undefined && !isLoopback(http)) {
    app.log.warn(
      'there are no rights: whoever reaches this address can read, append and delete (-auth says who may do what)',
    );
  }
  // After what was logged.
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

/** First steps for a user who has started a server at a terminal. */
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
      return 'the port is in use: stop what listens there, or choose another one (-http)';
    case 'EACCES':
      return 'this user may not use that port';
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return 'this machine has no such address';
    default:
      return messageOf(error);
  }
}

/**
 * Whether an error only concerns a connection: a system call failed, and not on a file.
 * A failed `accept` is one, whatever its code: the system is short of some resource.
 */
export function isSocketError(error: unknown): boolean {
  if (!(error instanceof Error) || !('code' in error) || !('syscall' in error)) return false;
  if (error.syscall === 'accept') return true;
  return SOCKET_ERRORS.includes(String(error.code)) && !('path' in error);
}
