// What is measured of plain HTTP and of the Durable Streams protocol; see benchmarks.mjs.

import { setTimeout as delay } from 'node:timers/promises';
import { findProgram } from './nginx.mjs';
import { residentBytes } from './process-stats.mjs';
import { median } from './report.mjs';
import { NOT_HIGHER, NOT_LOWER } from './targets.mjs';

const KIB = 1024;
const MIB = 1024 * KIB;
const VENDOR = 'durableStreams';
const COMPARED = ['httpfstream', VENDOR];

/** A hundred thousand streams take a while to make. */
const MANY_TIMEOUT_MS = 900_000;

/** Nothing is appended over WebSocket. */
const NO_MESSAGES = { messages: 0, messageBytes: KIB, warmUpMessages: 0 };

/** The vendor's server syncs each append, so ours does where the two are compared. */
const DURABLY = { ...NO_MESSAGES, isDurable: true };

/** So that what a server does just after it listens is in its memory. */
const SETTLE_MS = 500;

/** All of these benchmarks, in the order in which they run. */
export function makeStreamBenchmarks({ quick }) {
  /** The full size, or the one that only shows that it works. */
  const sized = (full, small) => (quick ? small : full);
  return [
    streamAppends(64, { times: 15, timesBaseline: 2, durationMs: sized(5000, 1000) }),
    streamAppends(1, { times: 10, durationMs: sized(5000, 1000) }),
    streamDurability(sized(5000, 1000)),
    streamTail(sized(5000, 1000)),
    streamFanOut('long-poll', 'long-poll', sized(50, 10)),
    streamFanOut('sse', 'SSE', sized(50, 10)),
    streamStalled(sized(10 * MIB, 2 * MIB), sized(3, 1)),
    manyStreams(sized(100_000, 5000)),
    httpUpload(sized(2048 * MIB, 256 * MIB)),
  ];
}

/** On a busy machine this tells more than the rate. */
const PROCESSOR = {
  key: 'serverMicrosecondsPerRequest',
  label: 'processor time for each',
  unit: 'us',
  better: 'lower',
};

const POSTS = { connections: 64, messageBytes: 200 };

function streamAppends(streams, { times, timesBaseline = 0.9, durationMs }) {
  return {
    name: `streams-append-${streams}`,
    title: `durable POSTs of ${POSTS.messageBytes} bytes, ${POSTS.connections} connections, ${streams === 1 ? 'one stream' : `${streams} streams`}`,
    peers: COMPARED,
    figures: [
      {
        key: 'requestsPerSecond',
        label: 'appended',
        unit: '1/s',
        better: 'higher',
        targets: [
          { atLeast: times, ofPeer: VENDOR },
          { atLeast: timesBaseline, ofPeer: 'baseline' },
        ],
      },
      { key: 'p50Ms', label: 'p50', unit: 'ms', better: 'lower' },
      { key: 'p99Ms', label: 'p99', unit: 'ms', better: 'lower' },
      PROCESSOR,
    ],
    measure: ({ serve, load }) =>
      serve(DURABLY, ({ target }) => load('posts', { target, ...POSTS, streams, durationMs })),
  };
}

function streamDurability(durationMs) {
  const streams = 64;
  return {
    name: 'streams-append-os',
    title: `POSTs of ${POSTS.messageBytes} bytes, ${POSTS.connections} connections, ${streams} streams`,
    peers: ['httpfstream'],
    figures: [
      {
        key: 'osPerSecond',
        label: '-durability os',
        unit: '1/s',
        better: 'higher',
        targets: [{ atLeast: 1.2, ofFigure: 'diskPerSecond' }],
      },
      { key: 'diskPerSecond', label: '-durability disk', unit: '1/s', better: 'higher' },
    ],
    async measure({ serve, load }) {
      const pass = (isDurable) =>
        serve({ ...NO_MESSAGES, isDurable }, ({ target }) =>
          load('posts', { target, ...POSTS, streams, durationMs }),
        );
      const disk = await pass(true);
      const os = await pass(false);
      return {
        ...os,
        diskPerSecond: disk.requestsPerSecond,
        osPerSecond: os.requestsPerSecond,
      };
    },
  };
}

function streamTail(durationMs) {
  const parameters = { connections: 16, streamBytes: 50 * MIB, tailBytes: 100, durationMs };
  return {
    name: 'streams-tail',
    title: `GET of the last ${parameters.tailBytes} bytes of 50 MiB, ${parameters.connections} connections`,
    peers: COMPARED,
    figures: [
      {
        key: 'requestsPerSecond',
        label: 'read',
        unit: '1/s',
        better: 'higher',
        targets: [{ atLeast: 200, ofPeer: VENDOR }, NOT_LOWER],
      },
      { key: 'p99Ms', label: 'p99', unit: 'ms', better: 'lower' },
      PROCESSOR,
    ],
    measure: ({ serve, load }) => serve(NO_MESSAGES, ({ target }) => load('tail', { target, ...parameters })),
  };
}

function streamFanOut(kind, title, appends) {
  const readers = 1000;
  return {
    name: `streams-fanout-${kind}`,
    title: `append of 100 bytes to ${readers.toLocaleString('en-US')} ${title} readers`,
    peers: COMPARED,
    figures: [
      { key: 'p50Ms', label: 'until all have it, p50', unit: 'ms', better: 'lower' },
      {
        key: 'p99Ms',
        label: 'until all have it, p99',
        unit: 'ms',
        better: 'lower',
        targets: [{ atMost: 1 / 3, ofPeer: VENDOR }, NOT_HIGHER],
      },
    ],
    measure: ({ serve, load }) =>
      serve(DURABLY, ({ target }) => load('live', { target, kind, readers, appends, messageBytes: 100 })),
  };
}

function streamStalled(bytes, rounds) {
  const messageBytes = 64 * KIB;
  const parameters = { readers: 10, messageBytes, messages: bytes / messageBytes };
  return {
    name: 'streams-stalled',
    title: `${bytes / MIB} MiB to ${parameters.readers} SSE readers and one that never reads`,
    peers: COMPARED,
    figures: [
      { key: 'delivered', label: 'delivered to the ten', unit: 'MB/s', better: 'higher' },
      {
        key: 'kept',
        label: 'their speed, of that without it',
        unit: '%',
        better: 'higher',
        targets: [{ atLeast: 90 }],
      },
      { key: 'growth', label: 'memory growth with it', unit: 'MB', better: 'lower' },
    ],
    async measure({ serve, load }) {
      const pass = (stalled) =>
        serve(DURABLY, ({ target }) => load('liveStalled', { target, ...parameters, stalled }));
      const without = [];
      const withOne = [];
      for (let round = 0; round < rounds; round++) {
        without.push(await pass(0));
        withOne.push(await pass(1));
      }
      const withoutSeconds = median(without.map(({ seconds }) => seconds));
      const seconds = median(withOne.map((figures) => figures.seconds));
      return {
        seconds,
        delivered: (bytes * parameters.readers) / 1e6 / seconds,
        kept: (withoutSeconds / seconds) * 100,
        growth: megabytes(median(withOne.map((figures) => figures.serverResidentGrowthBytes))),
      };
    },
  };
}

function manyStreams(streams) {
  const start = { unit: 's', better: 'lower', targets: [{ atMost: 2 }, NOT_HIGHER] };
  const memory = { unit: 'MB', better: 'lower', targets: [{ atMost: (200 * MIB) / 1e6 }] };
  return {
    name: 'streams-many',
    title: `${streams.toLocaleString('en-US')} streams, appended to once and closed`,
    peers: ['httpfstream'],
    figures: [
      { key: 'streamsPerSecond', label: 'made', unit: '1/s', better: 'higher' },
      { key: 'madeMegabytes', label: 'memory when made', ...memory },
      { key: 'killedStartSeconds', label: 'start after kill -9', ...start },
      { key: 'killedMegabytes', label: 'memory then', ...memory },
      { key: 'closedStartSeconds', label: 'start after a stop', ...start },
      { key: 'closedMegabytes', label: 'memory then', ...memory },
    ],
    measure: ({ serve, load }) =>
      serve(NO_MESSAGES, async ({ target, restart }) => {
        const made = await load('many', { target, streams }, { timeoutMs: MANY_TIMEOUT_MS });
        const madeMegabytes = megabytes(residentBytes(target.pid));
        const startAgain = async (signal) => {
          const again = await restart(signal);
          const startMegabytes = await memoryOf(again.target);
          await load('manyCheck', { target: again.target, streams, samples: Math.min(1000, streams) });
          return { startMegabytes, startSeconds: again.startSeconds };
        };
        // At once, so that not everything has gone from the log to where it belongs.
        const killed = await startAgain('SIGKILL');
        const closed = await startAgain('SIGTERM');
        return {
          ...made,
          madeMegabytes,
          killedStartSeconds: killed.startSeconds,
          killedMegabytes: killed.startMegabytes,
          closedStartSeconds: closed.startSeconds,
          closedMegabytes: closed.startMegabytes,
        };
      }),
  };
}

function httpUpload(bytes) {
  const curl = findProgram('curl');
  const messageBytes = 64 * KIB;
  const messages = bytes / messageBytes;
  return {
    name: 'http-upload',
    title: `${bytes / MIB} MiB by ${curl === undefined ? 'PUT' : 'curl -T'} with a follower over HTTP`,
    peers: ['httpfstream'],
    figures: [
      {
        key: 'uploaded',
        label: 'uploaded',
        unit: 'MB/s',
        better: 'higher',
        targets: [{ atLeast: 0.6, ofFigure: 'webSocketUploaded' }],
      },
      { key: 'webSocketUploaded', label: 'the same over WebSocket', unit: 'MB/s', better: 'higher' },
      { key: 'growth', label: 'memory growth', unit: 'MB', better: 'lower' },
      {
        key: 'peakGrowth',
        label: 'memory growth, largest',
        unit: 'MB',
        better: 'lower',
        targets: [{ atMost: 64 }],
      },
    ],
    async measure({ serve, load }) {
      const overHttp = await serve(NO_MESSAGES, ({ target }) =>
        load('upload', { target, fileBytes: bytes, curl }),
      );
      const traffic = { messages, messageBytes, warmUpMessages: messages / 8 };
      const overWebSocket = await serve(traffic, ({ target }) =>
        load('throughput', { target, ...traffic, followers: 1, stalled: 0 }),
      );
      return {
        ...overHttp,
        uploaded: bytes / 1e6 / overHttp.seconds,
        webSocketUploaded: bytes / 1e6 / overWebSocket.seconds,
        growth: megabytes(overHttp.serverResidentGrowthBytes),
        peakGrowth: megabytes(overHttp.serverPeakGrowthBytes),
      };
    },
  };
}

async function memoryOf({ pid }) {
  await delay(SETTLE_MS);
  return megabytes(residentBytes(pid));
}

function megabytes(bytes) {
  return bytes === undefined ? undefined : bytes / 1e6;
}
