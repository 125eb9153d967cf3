// What thousands of live resources cost, each with an appender and a follower; see benchmarks.mjs.

import { cProgramsMissing } from './c-programs.mjs';
import { openFilesLimit } from './process-stats.mjs';
import { NOT_HIGHER, NOT_LOWER } from './targets.mjs';

const MESSAGE_BYTES = 100;
const COMPARED = ['httpfstream', 'naive', 'floor', 'nchan'];

/** Of a live resource: its file, its appender, its follower. */
const DESCRIPTORS_OF_RESOURCE = 3;

/** What a server keeps for itself, and for those who are there already. */
const OTHER_DESCRIPTORS = 1024 + 256;

/** All of these benchmarks, in the order in which they run. */
export function makeManyBenchmarks({ quick }) {
  /** The full size, or the one that only shows that it works. */
  const sized = (full, small) => (quick ? small : full);
  const room = Math.floor((openFilesLimit() - OTHER_DESCRIPTORS) / DESCRIPTORS_OF_RESOURCE);
  const seconds = sized(5, 1);
  const idle = sized(10, 1);
  return [
    many('many-4000', {
      resources: sized(4000, 200),
      room,
      load: { idle, rate: sized(5000, 500), seconds },
      figures: [...LIVING, ...messages(COST_AT_LEISURE, LATENCY)],
    }),
    many('many-2000', {
      resources: sized(2000, 100),
      room,
      load: { idle: 1, rate: sized(20_000, 2000), seconds },
      figures: messages(COST_WHEN_BUSY),
    }),
    many('many-limit', {
      resources: Math.min(sized(10_000, 300), room),
      room,
      load: { idle, rate: sized(5000, 500), seconds },
      figures: [...LIVING.map(withoutTargets), ...messages([], []).map(withoutTargets)],
    }),
    rounds({ resources: sized(2000, 100), room, messages: sized(4000, 256) }),
  ];
}

const LIVING = [
  {
    key: 'opensPerSecond',
    label: 'opened',
    unit: '1/s',
    better: 'higher',
    targets: [{ atLeast: 0.55, ofPeer: 'naive' }],
  },
  { key: 'cpuPerOpen', label: 'processor time to open', unit: 'us', better: 'lower' },
  {
    key: 'joinsPerSecond',
    label: 'joined',
    unit: '1/s',
    better: 'higher',
    targets: [{ atLeast: 0.55, ofPeer: 'naive' }],
  },
  { key: 'cpuPerJoin', label: 'processor time to join', unit: 'us', better: 'lower' },
  {
    key: 'kibibytesPerResource',
    label: 'memory for each',
    unit: 'KiB',
    better: 'lower',
    targets: [{ atMost: 16 }],
  },
  {
    key: 'idleCpuPercent',
    label: 'processor while all are idle',
    unit: '% of a core',
    better: 'lower',
    targets: [{ atMost: 0.5 }],
  },
];

const COST_AT_LEISURE = [
  { atMost: 0.8, ofPeer: 'naive' },
  { atMost: 3, ofPeer: 'floor' },
];

const COST_WHEN_BUSY = [
  { atMost: 0.9, ofPeer: 'naive' },
  { atMost: 1.5, ofPeer: 'floor' },
];

/** On a busy machine nobody's is short. */
const LATENCY = [{ atMost: 20, or: { atMost: 1.5, ofPeer: 'naive' } }];

function messages(costTargets, latencyTargets = []) {
  return [
    { key: 'messagesPerSecond', label: 'messages', unit: '1/s', better: 'higher', targets: [NOT_LOWER] },
    {
      key: 'cpuPerMessage',
      label: 'processor time for a message',
      unit: 'us',
      better: 'lower',
      targets: [...costTargets, NOT_HIGHER],
    },
    { key: 'p50Ms', label: 'p50', unit: 'ms', better: 'lower' },
    { key: 'p99Ms', label: 'p99', unit: 'ms', better: 'lower', targets: latencyTargets },
  ];
}

function withoutTargets({ targets, ...figure }) {
  return figure;
}

function many(name, { resources, room, load, figures }) {
  const { rate, seconds } = load;
  return {
    name,
    title: `${count(resources)} live resources, ${count(rate)} messages/s of ${MESSAGE_BYTES} bytes`,
    peers: COMPARED,
    figures,
    skipped: problemWith(resources, room),
    keepsFiles: true,
    measure: ({ serve, loadInC }) =>
      serve(trafficOf(rate * seconds), ({ target }) =>
        loadInC('live-resources', target, {
          ...{ mode: 'many', resources, followers: 1, bytes: MESSAGE_BYTES },
          ...load,
        }),
      ),
  };
}

function rounds({ resources, room, messages }) {
  const sizes = [1, 4, 16, 64];
  return {
    name: 'rounds',
    title: `${count(resources)} live resources, in rounds`,
    peers: COMPARED,
    figures: sizes.flatMap((size) => [
      {
        key: `cpuOfRound${size}`,
        label: `processor time for a message, ${size} at a time`,
        unit: 'us',
        better: 'lower',
        targets: size === 1 || size === 64 ? [{ atMost: 0.8, ofPeer: 'naive' }, NOT_HIGHER] : [],
      },
      { key: `p50OfRound${size}`, label: `${size} at a time, p50`, unit: 'us', better: 'lower' },
    ]),
    skipped: problemWith(resources, room),
    keepsFiles: true,
    measure: ({ serve, loadInC }) =>
      serve(trafficOf(messages * sizes.length * 2), ({ target }) =>
        loadInC('live-resources', target, {
          ...{ mode: 'rounds', resources, followers: 1, bytes: MESSAGE_BYTES, messages },
        }),
      ),
  };
}

function problemWith(resources, room) {
  if (cProgramsMissing !== undefined) return cProgramsMissing;
  if (resources <= room) return undefined;
  return `takes ${count(resources * DESCRIPTORS_OF_RESOURCE + OTHER_DESCRIPTORS)} open files (ulimit -Hn)`;
}

function trafficOf(messages) {
  return { messages, messageBytes: MESSAGE_BYTES, warmUpMessages: 0 };
}

function count(number) {
  return number.toLocaleString('en-US');
}
