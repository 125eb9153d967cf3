import { readdir } from 'node:fs/promises';
import { type Metric, Registry } from 'prom-client';
import type { Core } from '../../core/core.ts';
import type { FreeSpace } from '../../core/limits/free-space.ts';
import type { Quota } from '../../core/limits/quotas.ts';
import type { LiveTotals } from '../../core/live-overview.ts';
import { BUCKETS, type Histogram, type ReadNumbers } from '../../core/numbers.ts';
import { VERSION } from '../../wire/version.ts';
import { descriptorLimit } from '../node/connections/descriptor-limit.ts';
import type { Refusals } from '../node/connections/refusals.ts';
import type { Traffic } from '../node/connections/traffic.ts';
import type { AnswerNumbers } from '../response/answer-numbers.ts';
import type { EventLoop, LoopState } from './event-loop.ts';
import { PatientLook } from './patient-look.ts';

const PREFIX = 'httpfstream_';

/** How many quotas have numbers. */
const MAX_QUOTAS = 64;

/** Where numbers are read. */
export interface MetricSources {
  core: Core;
  /** What the disk has left that holds the files. */
  disk: PatientLook<FreeSpace>;
  traffic: Traffic;
  refusals: Refusals;
  answers: AnswerNumbers;
  loop: EventLoop;
  /** When the server was started, in milliseconds since 1970. */
  startedMs: number;
  /** How many lines of the log were dropped. */
  droppedLines: () => number;
  /** Whether all that can be read again counts as it was read last. */
  isConfigurationCurrent: () => boolean;
}

/** What is looked at once for each scrape. */
interface Scrape extends MetricSources {
  live: LiveTotals;
  space: FreeSpace | undefined;
  loopState: LoopState;
  openFiles: number | undefined;
}

type Labels = Readonly<Record<string, string | number>>;

/** A number, or one for each combination of labels; undefined where it is not known. */
type Reading = number | undefined | readonly (readonly [labels: Labels, value: number])[];

/** A metric whose value is read. */
interface Row {
  type: 'gauge' | 'counter';
  help: string;
  read: (scrape: Scrape) => Reading;
}

/** A metric that counts how long something takes. */
interface HistogramRow {
  type: 'histogram';
  help: string;
  read: (scrape: Scrape) => readonly (readonly [labels: Labels, histogram: Histogram])[];
}

/**
 * All metrics, by name; those that do not begin as others' do with {@link PREFIX}. A new one is a line here, and one in
 * docs/metrics.md. No label may have as many values as there are paths, tokens or addresses.
 */
const ROWS: Readonly<Record<string, Row | HistogramRow>> = {
  build_info: gauge('The version, as a label.', () => [[{ version: VERSION }, 1]]),
  start_time_seconds: gauge('When the server was started.', ({ startedMs }) => startedMs / 1000),
  config_reload_success: gauge(
    'Whether rights, certificates and configuration count as they were read last.',
    ({ isConfigurationCurrent }) => Number(isConfigurationCurrent()),
  ),
  live_resources: gauge('Files that are in use, or were a moment ago.', ({ live }) => live.resources),
  appenders: gauge('Sessions that append, or wait for their clients.', ({ live }) => live.appenders),
  sessions_waiting: gauge('Sessions whose clients were lost and may come back.', ({ live }) => live.waiting),
  waiting_readers: gauge(
    'Readers that wait for a file that is not there.',
    ({ core }) => core.numbers.waitingReaders,
  ),
  followers: gauge('Readers that wait for what comes.', (scrape) =>
    byTransport(scrape, ({ followers }) => followers),
  ),
  followers_behind: gauge('Followers that do not have more than 1 MiB of what there is.', (scrape) =>
    byTransport(scrape, ({ transport }) => scrape.live.lags.get(transport)?.behind ?? 0),
  ),
  follower_lag_bytes_max: gauge('What the follower does not have that is behind the most.', (scrape) =>
    byTransport(scrape, ({ transport }) => scrape.live.lags.get(transport)?.maxBytes ?? 0),
  ),
  open_connections: gauge('Connections that are open.', ({ traffic }) => traffic.openConnections),
  connections_total: counter('Connections that were accepted.', ({ traffic }) => traffic.connections),
  network_receive_bytes_total: counter(
    'Bytes that have come over connections, with all that is around the payload.',
    ({ traffic }) => traffic.bytes.received,
  ),
  network_transmit_bytes_total: counter(
    'Bytes that have gone over connections, with all that is around the payload.',
    ({ traffic }) => traffic.bytes.sent,
  ),
  append_bytes_total: counter('Bytes that were appended.', ({ core }) =>
    summed(Object.values(core.numbers.appends), ({ transport, bytes }) => [{ transport }, bytes]),
  ),
  read_bytes_total: counter('Bytes of files that were written to clients.', ({ core, answers }) =>
    [...Object.values(core.numbers.reads), answers.files].map(({ transport, bytes }) => [
      { transport },
      bytes,
    ]),
  ),
  appends_total: counter('Appends that have ended, or were refused.', ({ core }) =>
    (['finished', 'interrupted', 'refused'] as const).flatMap((end) =>
      summed(Object.values(core.numbers.appends), (of) => [{ kind: of.kind, end }, of[end]]),
    ),
  ),
  sessions_resumed_total: counter(
    'Sessions that went on over another connection, or after a restart.',
    ({ core }) => core.numbers.sessionsResumed,
  ),
  stream_ends_total: counter(
    'Sessions that have ended, streams that were closed, and files that were deleted, by what followers are told.',
    ({ core }) => Object.entries(core.numbers.ends).map(([reason, count]) => [{ reason }, count]),
  ),
  requests_total: counter('Requests that were answered, or upgraded (101).', ({ traffic }) =>
    traffic.answers.map(({ method, status, count }) => [{ method, code: status }, count]),
  ),
  refusals_total: counter('Requests and connections that were refused.', ({ refusals }) =>
    [...refusals.all].map(([reason, count]) => [{ reason }, count]),
  ),
  append_safe_seconds: histogram('From when bytes are here until they are safe.', ({ core }) => [
    [{}, core.numbers.appendSafe],
  ]),
  append_sent_seconds: histogram(
    'From when bytes are here until they are written to all followers that take them.',
    ({ core }) => [[{}, core.numbers.appendSent]],
  ),
  sync_seconds: histogram('How long the disk takes to make a file, or the journal, safe.', ({ core }) => [
    [{}, core.numbers.syncs],
  ]),
  first_byte_seconds: histogram('From a request until its answer begins.', ({ answers }) =>
    Object.entries(answers.firstByte).map(([kind, histogram]) => [{ kind }, histogram]),
  ),
  journal_bytes: gauge('What the journal holds.', ({ core }) => core.journalBytes),
  checkpoint_age_seconds: gauge(
    'How long what is remembered of files has been behind the journal.',
    ({ core }) => core.checkpointAgeMs / 1000,
  ),
  records: gauge('Files of which something is remembered.', ({ core }) => core.records.count),
  disk_free_bytes: gauge('What the disk has left for this user.', ({ space }) => space?.bytes),
  disk_free_inodes: gauge('How many more files the disk takes.', ({ space }) =>
    space !== undefined && Number.isFinite(space.files) ? space.files : undefined,
  ),
  quota_bytes: gauge('What is stored, by the pattern of the quota.', (scrape) =>
    byQuota(scrape, ({ usedBytes, isCounted }) => (isCounted ? usedBytes : undefined)),
  ),
  quota_limit_bytes: gauge('What may be stored, by the pattern of the quota.', (scrape) =>
    byQuota(scrape, ({ limitBytes }) => limitBytes),
  ),
  log_lines_dropped_total: counter('Lines of the log that nobody has read in time.', ({ droppedLines }) =>
    droppedLines(),
  ),
  event_loop_utilization_ratio: gauge(
    'The part of the time in which the event loop is busy, since the last scrape.',
    ({ loopState }) => loopState.utilization,
  ),
  event_loop_delay_seconds: gauge('How late the event loop is, since the last scrape.', ({ loopState }) =>
    loopState.delays.map(([percentile, seconds]) => [{ percentile }, seconds]),
  ),
};

/** Those that processes have, whatever they do. */
const PROCESS_ROWS: Readonly<Record<string, Row>> = {
  process_cpu_seconds_total: counter('Processor time that was used.', () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  }),
  process_resident_memory_bytes: gauge('Memory that is in use.', () => process.memoryUsage.rss()),
  process_open_fds: gauge('Descriptors that are open.', ({ openFiles }) => openFiles),
  process_max_fds: gauge('How many descriptors may be open.', () => {
    const limit = descriptorLimit();
    return Number.isFinite(limit) ? limit : undefined;
  }),
  nodejs_heap_size_used_bytes: gauge('What objects take.', () => process.memoryUsage().heapUsed),
};

/** The metrics of a server, as Prometheus reads them. */
export class Metrics {
  readonly #sources: MetricSources;
  readonly #registry = new Registry();
  /** Not told by all systems. */
  readonly #descriptors = new PatientLook(async () => (await readdir('/proc/self/fd')).length);
  #scrape: Scrape | undefined;

  constructor(sources: MetricSources) {
    this.#sources = sources;
    for (const [name, row] of Object.entries(ROWS)) this.#register(PREFIX + name, row);
    for (const [name, row] of Object.entries(PROCESS_ROWS)) this.#register(name, row);
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** Reads all numbers. */
  async text(): Promise<string> {
    const { core, disk, loop } = this.#sources;
    const [space, openFiles] = await Promise.all([disk.take(), this.#descriptors.take()]);
    this.#scrape = {
      ...this.#sources,
      ...{ space, openFiles },
      live: core.overview.totals(),
      loopState: loop.take(),
    };
    return this.#registry.metrics();
  }

  /** With an object of our own: those of the library keep what is to be read here. */
  #register(name: string, { help, type, read }: Row | HistogramRow): void {
    const get = async () => ({ name, help, type, values: valuesOf(name, read(this.#scrape as Scrape)) });
    this.#registry.registerMetric({ name, get } as unknown as Metric);
  }
}

/** As the library takes it. */
interface Sample {
  metricName?: string;
  labels: Labels;
  value: number;
}

function valuesOf(name: string, reading: Reading | ReturnType<HistogramRow['read']>): Sample[] {
  if (reading === undefined) return [];
  if (typeof reading === 'number') return [{ labels: {}, value: reading }];
  return reading.flatMap(([labels, value]) =>
    typeof value === 'number' ? [{ labels, value }] : bucketsOf(name, labels, value),
  );
}

function bucketsOf(name: string, labels: Labels, { counts, sum }: Histogram): Sample[] {
  let total = 0;
  const buckets = counts.map((count, i) => {
    total += count;
    return { metricName: `${name}_bucket`, labels: { ...labels, le: BUCKETS[i] ?? '+Inf' }, value: total };
  });
  return [
    ...buckets,
    { metricName: `${name}_sum`, labels, value: sum },
    { metricName: `${name}_count`, labels, value: total },
  ];
}

/** Adds up what has the same labels. */
function summed<T>(items: readonly T[], read: (item: T) => [Labels, number]): [Labels, number][] {
  const sums = new Map<string, [Labels, number]>();
  for (const item of items) {
    const [labels, value] = read(item);
    const key = JSON.stringify(labels);
    sums.set(key, [labels, (sums.get(key)?.[1] ?? 0) + value]);
  }
  return [...sums.values()];
}

function byTransport({ core }: Scrape, read: (numbers: ReadNumbers) => number): [Labels, number][] {
  return Object.values(core.numbers.reads).map((numbers) => [
    { transport: numbers.transport },
    read(numbers),
  ]);
}

function byQuota({ core }: Scrape, read: (quota: Quota) => number | undefined): [Labels, number][] {
  return core.limits.quotas.all.slice(0, MAX_QUOTAS).flatMap((quota) => {
    const value = read(quota);
    return value === undefined ? [] : [[{ pattern: quota.pattern }, value]];
  });
}

function gauge(help: string, read: Row['read']): Row {
  return { type: 'gauge', help, read };
}

function counter(help: string, read: Row['read']): Row {
  return { type: 'counter', help, read };
}

function histogram(help: string, read: HistogramRow['read']): HistogramRow {
  return { type: 'histogram', help, read };
}
