// What servers cost that have what they serve from another one; see benchmarks.mjs.

import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { cpuSeconds, openSockets, writtenBytes } from './process-stats.mjs';
import { freePort, startProcess, stopProcess, waitForPort } from './processes.mjs';

const MIB = 1024 * 1024;

/** For what hardly appends. */
const NO_TRAFFIC = { messages: 100, messageBytes: 1024, warmUpMessages: 0 };

const TARGET = fileURLToPath(new URL('http-target.mjs', import.meta.url));

const COMMANDS = fileURLToPath(new URL('../dist/bin/', import.meta.url));

const RELAYS = 3;

const SAMPLE_MS = 100;

const run = promisify(execFile);

/** All of these benchmarks, in the order in which they run. */
export function makeRelayBenchmarks({ quick }) {
  /** The full size, or the one that only shows that it works. */
  const sized = (full, small) => (quick ? small : full);
  return [
    latency(sized(5000, 500)),
    hops(sized(256 * MIB, 16 * MIB)),
    followers(sized(1000, 50), sized(2000, 100)),
    passing(sized(1024 * MIB, 64 * MIB)),
  ].map((benchmark) => ({ ...benchmark, isNew: true }));
}

function latency(messages) {
  const traffic = { messages, messageBytes: 100, warmUpMessages: Math.min(messages, 500) };
  return {
    name: 'relay-latency',
    title: 'latency by way of a relay, 500 messages/s of 100 bytes',
    peers: ['httpfstream'],
    figures: [
      {
        key: 'addedP50Ms',
        label: 'p50, more than without it',
        unit: 'ms',
        better: 'lower',
        targets: [{ atMost: 1, ofFigure: 'directP50Ms' }],
      },
      { key: 'directP50Ms', label: 'p50 without it', unit: 'ms', better: 'lower' },
      { key: 'p99Ms', label: 'p99', unit: 'ms', better: 'lower' },
    ],
    measure: ({ serve, load }) =>
      withRelays(serve, 1, traffic, async ([origin, relay]) => {
        const parameters = { ...traffic, followers: 1, messagesPerSecond: 500, appendPort: origin.port };
        const direct = await load('latency', { ...parameters, target: ofDirectory(origin, 'direct') });
        const relayed = await load('latency', { ...parameters, target: ofDirectory(relay, 'relayed') });
        return {
          ...relayed,
          directP50Ms: direct.p50Ms,
          addedP50Ms: relayed.p50Ms - direct.p50Ms,
        };
      }),
  };
}

function hops(bytes) {
  const megabytes = bytes / 1e6;
  return {
    name: 'relay-hops',
    title: `${bytes / MIB} MiB through ${RELAYS} relays`,
    peers: ['httpfstream'],
    figures: [
      {
        key: 'cpuPerHop',
        label: 'processor time for a MB and hop',
        unit: 'ms',
        better: 'lower',
        targets: [{ atMost: 0.6, ofFigure: 'cpuOfPipe' }],
      },
      { key: 'cpuOfPipe', label: 'the same, a follower piped into an appender', unit: 'ms', better: 'lower' },
    ],
    async measure({ serve }) {
      const cpuPerHop = await withRelays(serve, RELAYS, NO_TRAFFIC, async ([origin, ...relays]) => {
        writeFileSync(origin.file.replace('{name}', 'small'), Buffer.alloc(MIB));
        writeFileSync(origin.file.replace('{name}', 'large'), Buffer.alloc(bytes, 'httpfstream '));
        const cpuOfRelays = () => relays.reduce((sum, { pid }) => sum + cpuSeconds(pid), 0);
        const last = relays.at(-1);
        await getOnce(last, '/small', MIB);
        const before = cpuOfRelays();
        await getOnce(last, '/large', bytes);
        return ((cpuOfRelays() - before) * 1000) / megabytes / RELAYS;
      });
      const cpuOfPipe = await serve(NO_TRAFFIC, ({ target: from }) =>
        serve(NO_TRAFFIC, async ({ target: to }) => {
          writeFileSync(from.file.replace('{name}', 'large'), Buffer.alloc(bytes, 'httpfstream '));
          const before = cpuSeconds(to.pid);
          const seconds = await cpuOfPipeline(
            `'${process.execPath}' '${COMMANDS}httpfstream-follow.js' http://127.0.0.1:${from.port}/large`,
            `'${process.execPath}' '${COMMANDS}httpfstream-append.js' http://127.0.0.1:${to.port}/large`,
          );
          return ((seconds + cpuSeconds(to.pid) - before) * 1000) / megabytes;
        }),
      );
      return { cpuPerHop, cpuOfPipe };
    },
  };
}

function followers(count, messages) {
  const traffic = { messages, messageBytes: 1024, warmUpMessages: Math.ceil(messages / 8) };
  return {
    name: 'relay-followers',
    title: `the origin of a relay with ${count.toLocaleString('en-US')} followers`,
    peers: ['httpfstream'],
    figures: [
      {
        key: 'sockets',
        label: 'sockets',
        unit: '',
        better: 'lower',
        targets: [{ atMost: 1, ofFigure: 'socketsOfOne' }],
      },
      { key: 'socketsOfOne', label: 'sockets with one', unit: '', better: 'lower' },
      {
        key: 'cpuMs',
        label: 'processor time',
        unit: 'ms',
        better: 'lower',
        targets: [{ atMost: 1.2, ofFigure: 'cpuMsOfOne' }],
      },
      { key: 'cpuMsOfOne', label: 'processor time with one', unit: 'ms', better: 'lower' },
      {
        key: 'writtenMegabytes',
        label: 'written, to its file and to the relay',
        unit: 'MB',
        better: 'lower',
        targets: [{ atMost: 1.1, ofFigure: 'writtenMegabytesOfOne' }],
      },
      { key: 'writtenMegabytesOfOne', label: 'written with one', unit: 'MB', better: 'lower' },
    ],
    async measure({ serve, load }) {
      const costOf = (followers) =>
        withRelays(serve, 1, traffic, ([origin, relay]) =>
          costOfOrigin(origin, () =>
            load('throughput', { ...traffic, target: relay, appendPort: origin.port, followers, stalled: 0 }),
          ),
        );
      const one = await costOf(1);
      const many = await costOf(count);
      return {
        ...many,
        socketsOfOne: one.sockets,
        cpuMsOfOne: one.cpuMs,
        writtenMegabytesOfOne: one.writtenMegabytes,
      };
    },
  };
}

function passing(bytes) {
  const peak = { unit: 'MB', better: 'lower' };
  const proxy = 'nginxProxy';
  return {
    name: 'relay-pass',
    title: `${bytes / MIB} MiB from a server that is none of ours`,
    peers: ['httpfstream', proxy],
    figures: [
      {
        key: 'passed',
        label: 'passed on, not kept',
        unit: 'MB/s',
        better: 'higher',
        targets: [{ atLeast: 0.6, ofPeer: proxy }],
      },
      { key: 'cpuOfPassed', label: 'processor time', unit: 's', better: 'lower' },
      { key: 'growthOfPassed', label: 'memory growth, largest', ...peak, targets: [{ atMost: 64 }] },
      {
        key: 'kept',
        label: 'kept while it passes',
        unit: 'MB/s',
        better: 'higher',
        targets: [{ atLeast: 0.5, ofPeer: proxy }],
      },
      { key: 'cpuOfKept', label: 'processor time, kept', unit: 's', better: 'lower' },
      { key: 'growthOfKept', label: 'memory growth, largest, kept', ...peak, targets: [{ atMost: 64 }] },
    ],
    async measure({ serve, load, warm }) {
      const get = (name) =>
        withTarget((upstream) =>
          serve({ ...NO_TRAFFIC, upstream }, ({ target }) => {
            warm(bytes);
            const paths = { path: `/${name}/timed/${bytes}`, warmUpPath: `/${name}/warm-up/${bytes}` };
            return load('download', { target, ...paths, fileBytes: bytes });
          }),
        );
      const passed = await get('no-store');
      const kept = await get('store');
      return {
        loadCpuShare: passed.loadCpuShare,
        passed: bytes / 1e6 / passed.seconds,
        cpuOfPassed: passed.serverCpuSeconds,
        growthOfPassed: passed.serverPeakGrowthBytes / 1e6,
        kept: bytes / 1e6 / kept.seconds,
        cpuOfKept: kept.serverCpuSeconds,
        growthOfKept: kept.serverPeakGrowthBytes / 1e6,
      };
    },
  };
}

/** Calls `use` with the targets of an origin and of relays one behind the other. */
function withRelays(serve, relayCount, traffic, use) {
  const startNext = (targets) => {
    const upstream = targets.length === 0 ? undefined : `http://127.0.0.1:${targets.at(-1).port}`;
    return serve({ ...traffic, upstream }, ({ target }) => {
      const started = [...targets, target];
      return started.length > relayCount ? use(started) : startNext(started);
    });
  };
  return startNext([]);
}

/** What is below a directory of a server. */
function ofDirectory(target, name) {
  return { ...target, followTarget: `/${name}/{name}`, appendTarget: `/${name}/{name}?verb=APPEND` };
}

/** Calls `use` with the URL of a server that makes bytes. */
async function withTarget(use) {
  const port = await freePort();
  const server = startProcess(process.execPath, [TARGET, String(port)]);
  try {
    await waitForPort(port, server);
    return await use(`http://127.0.0.1:${port}`);
  } finally {
    await stopProcess(server);
  }
}

/** What a server takes while something goes on, and the most sockets that it has then. */
async function costOfOrigin({ pid }, use) {
  const cpuBefore = cpuSeconds(pid);
  const writtenBefore = writtenBytes(pid);
  let sockets = 0;
  const timer = setInterval(() => {
    sockets = Math.max(sockets, openSockets(pid) ?? 0);
  }, SAMPLE_MS);
  try {
    await use();
  } finally {
    clearInterval(timer);
  }
  return {
    sockets,
    cpuMs: (cpuSeconds(pid) - cpuBefore) * 1000,
    writtenMegabytes: (writtenBytes(pid) - writtenBefore) / 1e6,
  };
}

/** Gets a file, and forgets it. */
async function getOnce({ port }, target, bytes) {
  const response = await fetch(`http://127.0.0.1:${port}${target}`);
  let count = 0;
  for await (const chunk of response.body) count += chunk.length;
  if (count !== bytes) throw new Error(`GET ${target}: ${count} of ${bytes} bytes`);
}

/** Seconds of processor time of two programs, one piped into the other. */
async function cpuOfPipeline(from, to) {
  // Of the two lines that `times` prints the second one is of what has ended.
  const { stdout } = await run('/bin/sh', ['-c', `${from} | ${to} >/dev/null && times`]);
  const [, line = ''] = stdout.trim().split('\n');
  const times = [...line.matchAll(/(\d+)m([\d.]+)s/g)];
  return times.reduce((sum, [, minutes, seconds]) => sum + 60 * Number(minutes) + Number(seconds), 0);
}
