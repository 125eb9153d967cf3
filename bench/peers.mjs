import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { compile, cProgramsMissing } from './c-programs.mjs';
import { findNginx, hasNchan, writeNchanConfig, writeProxyConfig, writeStaticConfig } from './nginx.mjs';
import { endProcess, freePort, startProcess, stopProcess, waitForPort } from './processes.mjs';

const CHECKOUT = fileURLToPath(new URL('..', import.meta.url));
const NAIVE_SERVER = fileURLToPath(new URL('naive-server.mjs', import.meta.url));
const STREAMS_SERVER = fileURLToPath(new URL('durable-streams-server.mjs', import.meta.url));
const STREAMS_PACKAGE = fileURLToPath(new URL('../node_modules/@durable-streams/server', import.meta.url));

/** nchan keeps a header of its own with each message. */
const NCHAN_MESSAGE_OVERHEAD_BYTES = 1024;

/** A `{name}` in these is the resource's. */
const PATH_TARGETS = { appendTarget: '/{name}?verb=APPEND', followTarget: '/{name}' };
const CHANNEL_TARGETS = { appendTarget: '/pub?id={name}', followTarget: '/sub?id={name}' };

/**
 * The servers that are compared, ours first. `launch` says how to start one on
 * `port` with its files below `root`; `directory` is for anything else, and
 * `programs` for what is compiled.
 *
 * @param {{ baseline?: string, guarded: boolean }} options `baseline` is the directory of a built checkout, which is then a
 *   peer, too; `guarded`: ours has rights, quotas and a rate
 */
export function makePeers({ baseline, guarded }) {
  return {
    httpfstream: httpfstreamOf(CHECKOUT, 'httpfstream', guarded ? guards : undefined),
    ...(baseline !== undefined && {
      baseline: httpfstreamOf(baseline, `baseline ${versionOf(baseline)}`),
    }),
    ...OTHERS,
  };
}

/** The version of the checkout in a directory. */
export function versionOf(directory) {
  return JSON.parse(readFileSync(path.join(directory, 'package.json'), 'utf8')).version;
}

/** Whether the checkout in a directory is built. */
export function isBuilt(directory) {
  return existsSync(serverOf(directory));
}

function serverOf(directory) {
  return path.resolve(directory, 'dist/bin/httpfstream-server.js');
}

/** The options of a server that decides about each request, and bounds each client and all files. No load is refused. */
function guards(directory) {
  const file = path.join(directory, 'auth.json');
  const paths = [...Array.from({ length: 20 }, (_, index) => `/project-${index}/**`), '/**'];
  const rules = paths.map((path) => ({ rights: ['follow', 'append', 'list', 'delete'], paths: [path] }));
  writeFileSync(file, JSON.stringify({ anonymous: rules, tokens: [] }), { mode: 0o600 });
  return ['-auth', file, '-quota', '/**=1TiB', '-quota', '/project-1/**=1GiB', '-rate', '1000000000'];
}

function httpfstreamOf(checkout, title, extraOptions = () => []) {
  return {
    title,
    isInstalled: () => isBuilt(checkout),
    targets: PATH_TARGETS,
    keepsFile: true,
    launch: ({ directory, root, port, traffic }) => [
      process.execPath,
      [
        ...[serverOf(checkout), '-root', root, '-http', `127.0.0.1:${port}`, '-log-level', 'error'],
        ...extraOptions(directory),
        ...(traffic.isDurable ? ['-durability', 'disk'] : []),
        ...(traffic.upstream === undefined ? [] : ['-upstream', traffic.upstream]),
      ],
    ],
  };
}

const OTHERS = {
  naive: {
    title: 'naive ws',
    isInstalled: () => true,
    targets: PATH_TARGETS,
    keepsFile: true,
    launch: ({ root, port, traffic }) => [
      process.execPath,
      [NAIVE_SERVER, root, String(port), ...(traffic.isDurable ? ['--durable'] : [])],
    ],
  },
  floor: {
    title: 'floor',
    isInstalled: () => cProgramsMissing === undefined,
    targets: PATH_TARGETS,
    keepsFile: true,
    launch: ({ root, port, programs }) => [compile('floor-server.c', programs), [root, String(port)]],
  },
  nchan: {
    title: 'nginx+nchan',
    isInstalled: hasNchan,
    targets: CHANNEL_TARGETS,
    textMessages: true,
    // It numbers the messages of a second with 16 bits: a channel that gets more than 32,767 stops for good.
    maxMessages: 30_000,
    launch: ({ directory, port, traffic }) => [
      findNginx(),
      writeNchanConfig(directory, port, {
        bufferMessages: traffic.messages,
        bufferBytes: traffic.messages * (traffic.messageBytes + NCHAN_MESSAGE_OVERHEAD_BYTES) * 2 + 2 ** 26,
      }),
    ],
  },
  nginx: {
    title: 'nginx',
    isInstalled: () => findNginx() !== undefined,
    launch: ({ directory, root, port }) => [findNginx(), writeStaticConfig(directory, root, port)],
  },
  nginxProxy: {
    title: 'nginx proxy',
    isInstalled: () => findNginx() !== undefined,
    launch: ({ directory, port, traffic }) => [
      findNginx(),
      writeProxyConfig(directory, traffic.upstream, port),
    ],
  },
  durableStreams: {
    title: 'durable-streams',
    isInstalled: () => existsSync(STREAMS_PACKAGE),
    launch: ({ root, port }) => [process.execPath, [STREAMS_SERVER, root, String(port)]],
  },
};

/** As much of the traffic as the peer stands. */
export function boundedTraffic(peer, traffic) {
  const bound = (messages) => Math.min(messages, peer.maxMessages ?? messages);
  return {
    ...traffic,
    messages: bound(traffic.messages),
    warmUpMessages: bound(traffic.warmUpMessages),
  };
}

/**
 * Starts a fresh server of a peer, calls `use` with what a load generator must
 * know of it, and stops it, whatever happens.
 *
 * @param {object} peer one of {@link makePeers}
 * @param {{ directory: string, root: string, programs: string, env: object, traffic?: { messages: number, messageBytes: number } }} place
 *   a directory of its own, the files' root in it, that of what is compiled, the server's environment, and how much will
 *   be appended at most
 * @param {(server: { target: object, restart: (signal: string) => Promise<object> }) => Promise<object>} use
 *   `restart` ends the server with a signal and starts it again on the same files: a new `target`, and
 *   `startSeconds`, from the start of the process until it listens
 */
export async function withServer(peer, place, use) {
  let child;
  const start = async () => {
    const port = await freePort();
    const startedAt = performance.now();
    child = startProcess(...peer.launch({ ...place, port }), { env: place.env });
    await waitForPort(port, child);
    const startSeconds = (performance.now() - startedAt) / 1000;
    const target = {
      ...peer.targets,
      port,
      pid: child.pid,
      opcode: peer.textMessages ? 1 : 2,
      keepsFile: peer.keepsFile === true,
      file: path.join(place.root, '{name}'),
    };
    return { target, startSeconds };
  };
  const restart = async (signal) => {
    await endProcess(child, signal);
    return start();
  };
  try {
    const { target } = await start();
    return await use({ target, restart });
  } finally {
    if (child !== undefined) await stopProcess(child);
  }
}
