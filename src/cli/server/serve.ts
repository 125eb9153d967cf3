import { isDeepStrictEqual } from 'node:util';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import type { FileAccess } from '../../rights/file-access.ts';
import { assertRootIsFree } from '../../server/check-directory.ts';
import { descriptorLimit, liveResourcesWithin } from '../../server/node/connections/descriptor-limit.ts';
import { TlsCertificates } from '../../server/node/connections/tls-certificates.ts';
import { ServerSockets } from '../../server/node/server-sockets.ts';
import { createServers, type Servers } from '../../server/standalone.ts';
import { type CommandIo, messageOf } from '../io/io.ts';
import type { Entrances } from './entrances.ts';
import { takeHeldSockets } from './held-sockets.ts';
import { limitsOf, withoutLimits } from './limit-options.ts';
import { assertCanListen, listen, listenAtHeld } from './listen.ts';
import { formatListenAddress, isLoopback, localHost, schemeOf } from './listen-address.ts';
import { openAccess } from './open-access.ts';
import { Reloads } from './reloads.ts';
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
 * Serves until SIGINT or SIGTERM, or, at a terminal, SIGHUP, which otherwise reads again what can be replaced while it
 * runs.
 *
 * @param readAgain resolves to the options as they would be after a restart
 * @returns the exit code: 0 after an orderly stop, 1 when it could not start, or after an unexpected error
 */
export async function serve(
  given: ServerOptions,
  io: CommandIo,
  readAgain: () => Promise<ServerOptions>,
): Promise<number> {
  const { root, http, logLevel, auth, ...options } = given;
  const { descriptors, meantFor } = takeHeldSockets();
  const isHeld = descriptors.length > 0;
  const { logger, output } = await makeLogger(logLevel, io);
  const reloads = new Reloads(logger);
  let changeLimits: Servers['changeLimits'] = () => {};
  reloads.add('configuration', {
    reload: async () => {
      const fresh = await readAgain();
      logger.level = fresh.logLevel;
      changeLimits(limitsOf(fresh));
      const waiting = changedOptions(given, fresh);
      if (waiting.length > 0) logger.warn({ options: waiting }, 'these have changed, and wait for a restart');
    },
    isCurrent: true,
  });
  const onStopSignal = (stop: (signal: NodeJS.Signals) => void) =>
    io.onStopSignal((signal) => {
      if (signal === 'SIGHUP' && !io.isAtTerminal) void reloads.run();
      else stop(signal);
    });
  // A start can be aborted at once, since it can be repeated. With a listener, because the first process of a container
  // ignores signals without one.
  const endStart = onStopSignal((signal) => {
    endStart();
    io.exit(signal);
  });
  const fail = (message: string) => {
    endStart();
    io.stderr.write(`httpfstream-server: ${message}\n`);
    return EXIT_FAILURE;
  };
  const failToListen = (error: unknown, address = http) =>
    fail(
      isHeld && address === http
        ? `cannot listen at a socket that was handed over (LISTEN_FDS): ${messageOf(error)}`
        : `cannot listen on ${formatListenAddress(address)}: ${listenFailure(error)}`,
    );
  // Who is to be waited for may still listen, too.
  if (options.waitRoot === 0) {
    try {
      // Where both are in use, it is the root that matters.
      await assertRootIsFree(root);
    } catch (error) {
      return fail(messageOf(error));
    }
    const addresses = [...(isHeld ? [] : [http]), ...(options.admin === undefined ? [] : [options.admin])];
    for (const address of addresses) {
      try {
        await assertCanListen(address);
      } catch (error) {
        return failToListen(error, address);
      }
    }
  }
  let app: FastifyInstance;
  let admin: FastifyInstance;
  let access: FileAccess | undefined;
  try {
    if (auth !== undefined) {
      access = await openAccess(auth, root, logger);
      reloads.add('rights', access);
    }
    const certificates = await certificatesOf(options, logger);
    if (certificates !== undefined) reloads.add('certificates', certificates);
    const servers = await createServers({
      root,
      ...(access && { access }),
      durability: options.durability,
      fileMode: options.fileMode,
      waitRootMs: Math.round(options.waitRoot * 1000),
      graceMs: Math.round(options.grace * 1000),
      longPollMs: Math.round(options.longPoll * 1000),
      corsOrigins: options.cors,
      allowedHosts: options.allowHost,
      index: options.index,
      viewer: options.viewer,
      pageScripts: options.pageScripts,
      ...limitsOf(options),
      upstreams: await upstreamsOf(options),
      upstreamMaxBytes: options.upstreamMaxBytes,
      upstreamKeepBytes: options.upstreamKeepBytes,
      upstreamKeep: options.upstreamKeep,
      trustProxy: options.trustProxy,
      ...(certificates && { certificates }),
      accessLog: options.accessLog,
      droppedLines: () => output.droppedTotal,
      isConfigurationCurrent: () => reloads.isCurrent,
      logger,
    });
    ({ app, admin, changeLimits } = servers);
    app.addHook('onClose', async () => access?.close());
    await reloads.begin();
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
    restoreSignals = onStopSignal((signal) => {
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
  let entrances: Entrances;
  let address = http;
  try {
    // First: who is accepted at the other one would be broken off if this one cannot be had.
    if (options.admin !== undefined) {
      address = options.admin;
      const { addresses } = await listen(admin, address, 'Health and numbers');
      address = http;
      if (!addresses.every(isLoopback)) {
        logger.warn(
          'whoever reaches the address of -admin can see which files are live, and who appends: it asks nobody for a token',
        );
      }
    }
    entrances = isHeld ? await listenAtHeld(app, descriptors) : await listen(app, http);
  } catch (error) {
    restoreSignals();
    await app.close();
    restoreUncaught();
    return failToListen(error, address);
  }

  const { addresses } = entrances;
  // Unix sockets have none.
  const [first] = addresses;
  const url =
    first &&
    `${schemeOf(app.server)}://${formatListenAddress({ ...first, host: localHost(isHeld ? first : http) })}/`;
  warnOfFewDescriptors(logger);
  if (meantFor !== undefined) {
    logger.warn(
      { pid: meantFor },
      'sockets were handed over to another process (LISTEN_PID): start node with exec',
    );
  }
  const upstreams = namesOf(options.upstream);
  app.log.info(
    { root, ...(url !== undefined && { url }), ...(upstreams.length > 0 && { upstreams }) },
    'ready',
  );
  if (access === undefined && !addresses.every(isLoopback)) {
    app.log.warn(
      'there are no rights: whoever reaches this address can read, append and delete (-auth says who may do what)',
    );
  }
  // After what was logged.
  if (io.stdout.isTTY && url !== undefined) output.write(firstSteps(url));
  const signal = await stopped;
  app.log.info(signal === undefined ? {} : { signal }, 'closing');
  // Who comes from now on waits at a socket that somebody else holds, or is refused by the system, and tries again.
  // Only the server's own pages stay, and say that it closes.
  entrances.close();
  if (isSound) await ServerSockets.of(app.server).drain(Math.round(options.drain * 1000));
  await app.close();
  app.log.info('closed');
  restoreSignals();
  restoreUncaught();
  return isSound ? 0 : EXIT_FAILURE;
}

/** The options that have changed and are not replaced while the server runs. */
function changedOptions(given: ServerOptions, fresh: ServerOptions): string[] {
  const { logLevel: _, ...others } = withoutLimits(fresh);
  const before: Record<string, unknown> = withoutLimits(given);
  return Object.entries(others)
    .filter(([name, value]) => !isDeepStrictEqual(value, before[name]))
    .map(([name]) => name);
}

async function certificatesOf(
  { tlsCert, tlsKey }: Pick<ServerOptions, 'tlsCert' | 'tlsKey'>,
  logger: Logger,
): Promise<TlsCertificates | undefined> {
  if (tlsCert.length === 0) return undefined;
  const files = tlsCert.map((cert, i) => ({ cert, key: tlsKey[i] as string }));
  return TlsCertificates.load(files, logger);
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
