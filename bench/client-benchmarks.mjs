// What the HTTP client costs, beside others; see benchmarks.mjs. The peers are clients, each in a process of its own.

import { existsSync } from 'node:fs';
import { NOT_HIGHER } from './targets.mjs';

const MIB = 1024 * 1024;

/** Ten million lines of the example `pipeline`. */
const RELAYED_BYTES = 478_888_897;

/** Freed memory goes back to the system late, whoever uses it: a bare pipeline grows by some 50 MB as well. */
const NOT_MUCH_MORE_MEMORY = { atMost: (16 * MIB) / 1e6, abovePeer: 'nodeHttp' };

const SECONDS = { key: 'seconds', label: 'time', unit: 's', better: 'lower' };
const CPU = { key: 'cpuSeconds', label: 'processor time', unit: 's', better: 'lower' };
const GROWTH = { key: 'peakGrowth', label: 'memory growth, largest', unit: 'MB', better: 'lower' };

/** All of these benchmarks, in the order in which they run. */
export function makeClientBenchmarks({ quick, large }) {
  /** The full size, or the one that only shows that it works. */
  const sized = (full, small) => (quick ? small : full);
  return [
    relay(sized(RELAYED_BYTES, 64 * MIB)),
    ...[sized(1024 * MIB, 128 * MIB), ...(large ? [8192 * MIB] : [])].map(memory),
    download(sized(1024 * MIB, 128 * MIB)),
    small(sized(20_000, 1000)),
    imports(sized(15, 3)),
    bundle(),
  ].map((benchmark) => ({ ...benchmark, areClients: true }));
}

function relay(bytes) {
  return {
    name: 'client-relay',
    title: `${Math.round(bytes / 1e6)} MB from server to server`,
    peers: ['httpfstream', 'nodeHttp', 'undici', 'fetch', 'curl'],
    figures: [
      { ...CPU, targets: [{ atMost: 1.25, ofPeer: 'nodeHttp' }, NOT_HIGHER] },
      { ...SECONDS, targets: [{ atMost: 1.1, ofPeer: 'curl' }] },
      { ...GROWTH, targets: [NOT_MUCH_MORE_MEMORY] },
    ],
    measure: ({ client }) => client({ task: 'relay', bytes }, { targets: 2 }),
  };
}

function memory(bytes) {
  return {
    name: `client-memory-${bytes / MIB}`,
    title: `${bytes / MIB} MiB from server to server`,
    peers: ['httpfstream', 'nodeHttp'],
    figures: [{ ...GROWTH, targets: [NOT_MUCH_MORE_MEMORY] }],
    measure: ({ client }) => client({ task: 'relay', bytes }, { targets: 2 }),
  };
}

function download(bytes) {
  return {
    name: 'client-get',
    title: `GET of ${bytes / MIB} MiB by a client`,
    peers: ['httpfstream', 'nodeHttp', 'undici', 'fetch'],
    figures: [{ ...CPU, targets: [{ atMost: 1.05, ofPeer: 'undici' }, NOT_HIGHER] }, SECONDS, GROWTH],
    measure: ({ client }) => client({ task: 'download', bytes }, { targets: 1 }),
  };
}

function small(requests) {
  const concurrency = 32;
  return {
    name: 'client-small',
    title: `GET of a few bytes by a client, ${concurrency} at a time`,
    peers: ['httpfstream', 'undici', 'fetch', 'got', 'ky'],
    figures: [
      {
        key: 'cpuPerRequest',
        label: 'processor time for each',
        unit: 'us',
        better: 'lower',
        targets: [...['fetch', 'got', 'ky'].map((ofPeer) => ({ atMost: 1, ofPeer })), NOT_HIGHER],
      },
    ],
    measure: ({ client }) => client({ task: 'small', requests, concurrency }, { targets: 1 }),
  };
}

function imports(processes) {
  return {
    name: 'client-import',
    title: `import of a client, the fastest of ${processes}`,
    peers: ['httpfstream', 'undici', 'got', 'ky'],
    figures: [
      { key: 'importMs', label: 'time', unit: 'ms', better: 'lower', targets: [{ atMost: 15 }] },
      { key: 'importCpuMs', label: 'processor time', unit: 'ms', better: 'lower', targets: [NOT_HIGHER] },
    ],
    measure: ({ client }) => client({ task: 'imports', processes }),
  };
}

function bundle() {
  const size = { unit: 'KiB', better: 'lower' };
  return {
    name: 'client-bundle',
    title: 'a client in a bundle for browsers, minified and compressed',
    peers: ['httpfstream', 'ky'],
    figures: [
      { key: 'kibibytes', label: 'all of it', ...size, targets: [{ atMost: 8 }] },
      { key: 'fewKibibytes', label: 'what most use', ...size },
    ],
    // It comes with vitest.
    skipped: existsSync(new URL('../node_modules/rolldown', import.meta.url))
      ? undefined
      : 'rolldown is not installed',
    measure: ({ client, peer: { browserEntry, names } }) =>
      client({ task: 'bundle', entry: browserEntry, names }),
  };
}
