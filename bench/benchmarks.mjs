// What is measured. A benchmark's `measure` makes one timed run against one
// peer and returns its figures by key; `run.mjs` does the rest.

import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { cProgramsMissing } from './c-programs.mjs';
import { makeClientBenchmarks } from './client-benchmarks.mjs';
import { makeManyBenchmarks } from './many-benchmarks.mjs';
import { openFilesLimit } from './process-stats.mjs';
import { makeRelayBenchmarks } from './relay-benchmarks.mjs';
import { makeStreamBenchmarks } from './stream-benchmarks.mjs';
import { NOT_HIGHER, NOT_LOWER } from './targets.mjs';

const KIB = 1024;
const MIB = 1024 * KIB;
const FOLLOWED = ['httpfstream', 'naive', 'nchan'];

/** For what hardly appends. */
const NO_TRAFFIC = { messages: 100, messageBytes: KIB, warmUpMessages: 0 };

/** Files that a server opens besides its connections. */
const OTHER_FILES = 256;

const DELIVERED = { key: 'delivered', label: 'delivered', unit: 'MB/s', better: 'higher' };

/** On a busy machine this tells more than the speed. */
const PROCESSOR = { key: 'cpuPerGigabyte', label: 'processor time', unit: 's/GB', better: 'lower' };

/** All benchmarks, in the order in which they run. */
export function makeBenchmarks({ quick, large }) {
  /** The full size, or the one that only shows that it works. */
  const sized = (full, small) => (quick ? small : full);
  return [
    append(sized(512 * MIB, 64 * MIB)),
    fanOut(1, 64 * KIB, sized(256 * MIB, 32 * MIB)),
    fanOut(10, 16 * KIB, sized(128 * MIB, 8 * MIB)),
    fanOut(100, 16 * KIB, sized(16 * MIB, MIB)),
    fanOut(1000, 16 * KIB, sized(2 * MIB, 256 * KIB)),
    smallMessages(1, sized(500_000, 20_000)),
    smallMessages(100, sized(40_000, 1000)),
    latency(1, sized(5000, 500)),
    latency(100, sized(5000, 500)),
    stalledFollower(sized(256 * MIB, 32 * MIB)),
    idleFollowers(sized(8000, 1000), sized(16_000, 1000)),
    floorFanOut(1, 64 * KIB, sized(512 * MIB, 16 * MIB), [{ atLeast: 0.7, ofPeer: 'floor' }, NOT_LOWER]),
    floorFanOut(100, 16 * KIB, sized(32 * MIB, MIB), [{ atLeast: 0.83, ofPeer: 'floor' }, NOT_LOWER]),
    floorFanOut(1, 100, sized(200e6, 2e6), [{ atLeast: 0.33, ofPeer: 'floor' }, NOT_LOWER]),
    floorFanOut(100, 100, sized(20e6, 2e5), [], [NOT_HIGHER]),
    acknowledgements('acks-disk-64', { appenders: 64, times: 4, seconds: sized(5, 0.5) }),
    acknowledgements('acks-disk-1000', { appenders: sized(1000, 100), times: 5, seconds: sized(5, 0.5) }),
    acknowledgements('acks-os', { appenders: 64, seconds: sized(5, 0.5) }),
    ...makeManyBenchmarks({ quick }),
    largeFile(sized(1024 * MIB, 128 * MIB)),
    smallFile(sized(5, 1)),
    ...makeStreamBenchmarks({ quick }),
    ...makeRelayBenchmarks({ quick }),
    ...makeClientBenchmarks({ quick, large }),
  ];
}

function append(bytes) {
  const wanted = trafficOf(bytes, 64 * KIB);
  return {
    name: 'append',
    title: 'append, no follower, 64 KiB messages',
    peers: ['httpfstream', 'naive'],
    figures: [{ key: 'appended', label: 'appended', unit: 'MB/s', better: 'higher' }, PROCESSOR],
    measure: ({ serve, load }) =>
      serve(wanted, async ({ target, traffic }) => {
        const result = await load('throughput', { target, ...traffic, followers: 0, stalled: 0 });
        const { bytes, seconds } = result;
        return { ...result, appended: bytes / 1e6 / seconds, cpuPerGigabyte: cpuPerGigabyte(result, bytes) };
      }),
  };
}

function fanOut(followers, messageBytes, bytes) {
  const wanted = trafficOf(bytes, messageBytes);
  return {
    name: `fanout-${followers}`,
    title: `fan-out to ${followers}, ${messageBytes / KIB} KiB messages`,
    peers: FOLLOWED,
    figures: [DELIVERED, PROCESSOR],
    measure: ({ serve, load }) =>
      serve(wanted, async ({ target, traffic }) => {
        const result = await load('throughput', { target, ...traffic, followers, stalled: 0 });
        const { deliveredBytes: bytes, seconds } = result;
        return { ...result, delivered: bytes / 1e6 / seconds, cpuPerGigabyte: cpuPerGigabyte(result, bytes) };
      }),
  };
}

function smallMessages(followers, messages) {
  const messageBytes = 100;
  const wanted = trafficOf(messages * messageBytes, messageBytes);
  return {
    name: `small-${followers}`,
    title: `100-byte messages to ${followers}`,
    peers: FOLLOWED,
    figures: [{ key: 'messages', label: 'delivered', unit: 'messages/s', better: 'higher' }],
    measure: ({ serve, load }) =>
      serve(wanted, async ({ target, traffic }) => {
        const result = await load('throughput', { target, ...traffic, followers, stalled: 0 });
        return { ...result, messages: result.deliveredBytes / messageBytes / result.seconds };
      }),
  };
}

function latency(followers, messages) {
  const wanted = { messages, messageBytes: 100, warmUpMessages: Math.min(messages, 500) };
  return {
    name: `latency-${followers}`,
    title: `latency to ${followers}, 500 messages/s of 100 bytes`,
    peers: FOLLOWED,
    figures: [
      { key: 'p50Ms', label: 'p50', unit: 'ms', better: 'lower', targets: [NOT_HIGHER] },
      { key: 'p99Ms', label: 'p99', unit: 'ms', better: 'lower', targets: [NOT_HIGHER] },
    ],
    measure: ({ serve, load }) =>
      serve(wanted, ({ target, traffic }) =>
        load('latency', { target, ...traffic, followers, messagesPerSecond: 500 }),
      ),
  };
}

function stalledFollower(bytes) {
  const followers = 10;
  const wanted = trafficOf(bytes, 16 * KIB);
  const growth = { unit: 'MB', better: 'lower' };
  return {
    name: 'stalled',
    title: `one of ${followers + 1} followers never reads`,
    peers: ['httpfstream', 'naive'],
    figures: [
      {
        key: 'kept',
        label: 'speed of the others, of that without it',
        unit: '%',
        better: 'higher',
        targets: [NOT_LOWER],
      },
      { key: 'growthWithout', label: 'memory growth, none stalled', ...growth },
      { key: 'growthWith', label: 'memory growth, one stalled', ...growth },
    ],
    async measure({ serve, load }) {
      const pass = (stalled) =>
        serve(wanted, ({ target, traffic }) =>
          load('throughput', { target, ...traffic, followers, stalled }),
        );
      const without = await pass(0);
      const withOne = await pass(1);
      return {
        ...withOne,
        kept: (without.seconds / withOne.seconds) * 100,
        growthWithout: megabytes(without.serverResidentGrowthBytes),
        growthWith: megabytes(withOne.serverResidentGrowthBytes),
      };
    },
  };
}

function idleFollowers(wanted, idleMs) {
  const followers = Math.min(wanted, openFilesLimit() - OTHER_FILES);
  return {
    name: 'idle',
    title: `${followers} idle followers`,
    peers: FOLLOWED,
    figures: [
      {
        key: 'kilobytesPerFollower',
        label: 'memory for each',
        unit: 'kB',
        better: 'lower',
        targets: [NOT_HIGHER],
      },
      { key: 'connectsPerSecond', label: 'connects', unit: '1/s', better: 'higher', targets: [NOT_LOWER] },
      { key: 'idleCpuPercent', label: 'processor while idle', unit: '% of a core', better: 'lower' },
    ],
    measure: ({ serve, load }) =>
      serve(NO_TRAFFIC, async ({ target }) => {
        const result = await load('idle', { target, followers, idleMs });
        return { ...result, kilobytesPerFollower: result.bytesPerFollower && result.bytesPerFollower / 1000 };
      }),
  };
}

/** As {@link fanOut}, with a load that costs next to nothing, so that it shows how near to the floor a server comes. */
function floorFanOut(followers, messageBytes, bytes, rateTargets, costTargets = []) {
  const wanted = trafficOf(bytes, messageBytes);
  const size = messageBytes < KIB ? `${messageBytes}-byte` : `${messageBytes / KIB} KiB`;
  return {
    name: `floor-${followers}x${messageBytes}`,
    title: `fan-out to ${followers}, ${size} messages, beside the floor`,
    peers: ['httpfstream', 'floor'],
    figures: [
      { ...DELIVERED, targets: rateTargets },
      { ...PROCESSOR, targets: costTargets },
    ],
    skipped: cProgramsMissing,
    measure: ({ serve, loadInC, warm }) =>
      serve(wanted, async ({ target, traffic }) => {
        const { messages, warmUpMessages } = traffic;
        warm(messages * messageBytes);
        const result = await loadInC('fan-out', target, {
          ...{ followers, bytes: messageBytes, messages, warmup: warmUpMessages },
          file: target.keepsFile ? target.file : 'none',
        });
        const { deliveredBytes: bytes, seconds } = result;
        return { ...result, delivered: bytes / 1e6 / seconds, cpuPerGigabyte: cpuPerGigabyte(result, bytes) };
      }),
  };
}

/** @param {number | undefined} times as many as a sync for each file brings, with `-durability disk`; `os` without */
function acknowledgements(name, { appenders, times, seconds }) {
  const isDurable = times !== undefined;
  const synced = ['naive', 'baseline'].map((ofPeer) => ({ atLeast: times, ofPeer }));
  return {
    name,
    title: `${appenders.toLocaleString('en-US')} appenders that wait for each ack, 200 bytes${isDurable ? ', fdatasync' : ''}`,
    peers: isDurable ? ['httpfstream', 'naive'] : ['httpfstream'],
    figures: [
      {
        key: 'acknowledgedPerSecond',
        label: 'acknowledged',
        unit: 'messages/s',
        better: 'higher',
        targets: isDurable ? synced : [NOT_LOWER],
      },
      { key: 'cpuPerAck', label: 'processor time for each', unit: 'us', better: 'lower' },
      { key: 'ackP50Ms', label: 'p50', unit: 'ms', better: 'lower' },
      { key: 'ackP99Ms', label: 'p99', unit: 'ms', better: 'lower' },
    ],
    skipped: cProgramsMissing,
    keepsFiles: true,
    measure: ({ serve, loadInC }) =>
      serve({ ...NO_TRAFFIC, isDurable }, ({ target }) =>
        loadInC('acks', target, { appenders, bytes: 200, seconds }),
      ),
  };
}

function largeFile(fileBytes) {
  return {
    name: 'get-large',
    title: `GET of a file of ${fileBytes / MIB} MiB`,
    peers: ['httpfstream', 'nginx'],
    figures: [
      {
        key: 'downloaded',
        label: 'downloaded',
        unit: 'MB/s',
        better: 'higher',
        targets: [
          { atLeast: 0.6, ofPeer: 'nginx' },
          { atLeast: 1, ofPeer: 'baseline' },
        ],
      },
      {
        key: 'serverCpuSeconds',
        label: 'processor time',
        unit: 's',
        better: 'lower',
        targets: [{ atMost: 0.7 }],
      },
    ],
    measure: ({ serve, load }) =>
      serve(NO_TRAFFIC, async ({ target, root }) => {
        writeLargeFile(path.join(root, 'large.bin'), fileBytes);
        const result = await load('download', { target, path: '/large.bin', fileBytes });
        return { ...result, downloaded: result.bytes / 1e6 / result.seconds };
      }),
  };
}

function smallFile(seconds) {
  return {
    name: 'get-small',
    title: 'GET of a file of 1 KiB, 32 connections',
    peers: ['httpfstream', 'nginx'],
    figures: [
      {
        key: 'requestsPerSecond',
        label: 'requests',
        unit: '1/s',
        better: 'higher',
        targets: [{ atLeast: 0.3, ofPeer: 'nginx' }, NOT_LOWER],
      },
      { key: 'serverMicrosecondsPerRequest', label: 'processor time for each', unit: 'us', better: 'lower' },
    ],
    skipped: cProgramsMissing,
    measure: ({ serve, loadInC }) =>
      serve(NO_TRAFFIC, ({ target, root }) => {
        writeFileSync(path.join(root, 'small.txt'), 'a'.repeat(KIB));
        return loadInC('gets', target, { path: '/small.txt', connections: 32, bytes: KIB, seconds });
      }),
  };
}

/** An eighth of the messages beforehand gets a fresh server's code compiled. */
function trafficOf(bytes, messageBytes) {
  const messages = Math.ceil(bytes / messageBytes);
  return { messages, messageBytes, warmUpMessages: Math.ceil(messages / 8) };
}

function writeLargeFile(file, bytes) {
  const block = Buffer.alloc(MIB, 'httpfstream ');
  for (let at = 0; at < bytes; at += block.length) writeFileSync(file, block, { flag: 'a' });
}

function cpuPerGigabyte({ serverCpuSeconds }, bytes) {
  return serverCpuSeconds === undefined ? undefined : serverCpuSeconds / (bytes / 1e9);
}

function megabytes(bytes) {
  return bytes === undefined ? undefined : bytes / 1e6;
}
