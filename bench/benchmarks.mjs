// What is measured. A benchmark's `measure` makes one timed run against one
// peer and returns its figures by key; `run.mjs` does the rest.

import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { findProgram } from './nginx.mjs';
import { openFilesLimit } from './process-stats.mjs';
import { runProcess } from './processes.mjs';
import { makeStreamBenchmarks } from './stream-benchmarks.mjs';

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
export function makeBenchmarks({ quick }) {
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
    acknowledgements(64, true, sized(5000, 500)),
    acknowledgements(64, false, sized(5000, 500)),
    largeFile(sized(1024 * MIB, 128 * MIB)),
    smallFile(sized(5, 1)),
    ...makeStreamBenchmarks({ quick }),
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
      { key: 'p50Ms', label: 'p50', unit: 'ms', better: 'lower' },
      { key: 'p99Ms', label: 'p99', unit: 'ms', better: 'lower' },
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
      { key: 'kept', label: 'speed of the others, of that without it', unit: '%', better: 'higher' },
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
      { key: 'kilobytesPerFollower', label: 'memory for each', unit: 'kB', better: 'lower' },
      { key: 'connectsPerSecond', label: 'connects', unit: '1/s', better: 'higher' },
      { key: 'idleCpuPercent', label: 'processor while idle', unit: '% of a core', better: 'lower' },
    ],
    measure: ({ serve, load }) =>
      serve(NO_TRAFFIC, async ({ target }) => {
        const result = await load('idle', { target, followers, idleMs });
        return { ...result, kilobytesPerFollower: result.bytesPerFollower && result.bytesPerFollower / 1000 };
      }),
  };
}

function acknowledgements(appenders, isDurable, durationMs) {
  return {
    name: isDurable ? 'acks-disk' : 'acks-os',
    title: `${appenders} appenders that wait for each ack, 200 bytes${isDurable ? ', fdatasync' : ''}`,
    peers: isDurable ? ['httpfstream', 'naive'] : ['httpfstream'],
    figures: [
      { key: 'acknowledgedPerSecond', label: 'acknowledged', unit: 'messages/s', better: 'higher' },
      { key: 'ackP50Ms', label: 'p50', unit: 'ms', better: 'lower' },
      { key: 'ackP99Ms', label: 'p99', unit: 'ms', better: 'lower' },
    ],
    measure: ({ serve, load }) =>
      serve({ ...NO_TRAFFIC, isDurable }, ({ target }) =>
        load('acks', { target, appenders, messageBytes: 200, durationMs }),
      ),
  };
}

function largeFile(fileBytes) {
  return {
    name: 'get-large',
    title: `GET of a file of ${fileBytes / MIB} MiB`,
    peers: ['httpfstream', 'nginx'],
    figures: [{ key: 'downloaded', label: 'downloaded', unit: 'MB/s', better: 'higher' }],
    measure: ({ serve, load }) =>
      serve(NO_TRAFFIC, async ({ target, root }) => {
        writeLargeFile(path.join(root, 'large.bin'), fileBytes);
        const result = await load('download', { target, path: '/large.bin', fileBytes });
        return { ...result, downloaded: result.bytes / 1e6 / result.seconds };
      }),
  };
}

function smallFile(seconds) {
  const wrk = findProgram('wrk');
  return {
    name: 'get-small',
    title: 'GET of a file of 1 KiB, 32 connections',
    peers: ['httpfstream', 'nginx'],
    figures: [{ key: 'requests', label: 'requests', unit: '1/s', better: 'higher' }],
    skipped: wrk === undefined ? 'wrk is not installed' : undefined,
    measure: ({ serve }) =>
      serve(NO_TRAFFIC, async ({ target: { port }, root }) => {
        writeFileSync(path.join(root, 'small.txt'), 'a'.repeat(KIB));
        const url = `http://127.0.0.1:${port}/small.txt`;
        await requestRate(wrk, 1, url);
        return { requests: await requestRate(wrk, seconds, url) };
      }),
  };
}

async function requestRate(wrk, seconds, url) {
  const timeoutMs = (seconds + 15) * 1000;
  const output = await runProcess(wrk, ['-t1', '-c32', `-d${seconds}s`, url], { timeoutMs });
  const problem = /Non-2xx.*|Socket errors.*/.exec(output)?.[0];
  if (problem !== undefined) throw new Error(`wrk: ${problem}`);
  return Number(/Requests\/sec:\s+([\d.]+)/.exec(output)[1]);
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
