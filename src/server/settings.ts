import type { Durability } from '../core/log/local-log.ts';
import {
  parseUpstreams,
  type UpstreamOption,
  type UpstreamSettings,
} from '../relay/upstream/upstream-option.ts';

/** Options of the Fastify plugin, beside Fastify's own `prefix`. */
export interface HttpfstreamOptions {
  /** Directory that holds the resources; made if it is missing. */
  root: string;
  /**
   * Quiet time after which a client is pinged, and a reader of events sent a
   * comment, in milliseconds. One that speaks the subprotocol and does not
   * answer is cut after twice that. Default 10,000.
   */
  keepAliveMs?: number;
  /**
   * How long a session waits for an appender whose connection broke, in milliseconds. Default 15,000; 0: not at all.
   */
  graceMs?: number;
  /**
   * When appended bytes are acknowledged: once the system has them (`os`: they
   * survive a crash of this process), or once the disk has (`disk`: and a loss
   * of power). Default `os`.
   */
  durability?: Durability;
  /**
   * Mode of the files that are made, before the process's umask is taken from it. Their owner must be able to
   * read and write them. Default 0o644.
   */
  fileMode?: number;
  /**
   * How long a long-poll of the Durable Streams protocol waits for bytes, in
   * milliseconds. Default 20,000.
   */
  longPollMs?: number;
  /** Longest time without a byte of a body that is not an appender session, in milliseconds. Default 30,000. */
  bodyIdleTimeoutMs?: number;
  /**
   * Origins whose pages may use this server (CORS), as `https://example.com`; `*` for all.
   * Those of others are refused. Default none.
   */
  corsOrigins?: readonly string[];
  /**
   * Names of hosts under which this server is reached, as `logs.example.com`; `*.example.com` for all below it,
   * `*` for all. Served without being named are addresses, `localhost`, names of one label, names that nobody can
   * register (below `local`, `internal`, `home.arpa` and `test`) and this machine's own. Default none.
   */
  allowedHosts?: readonly string[];
  /**
   * Servers from which comes what is not here: `http://host:8080` for all paths, or `/prefix=http://host:8080/path`, or
   * with what is sent to them besides. Default none.
   */
  upstreams?: readonly (string | UpstreamSettings)[];
  /**
   * How long what is kept of an upstream may be, in bytes; what is longer is passed on to each reader. Default: as long
   * as it is.
   */
  upstreamMaxBytes?: number;
  /** How much of upstreams is kept, in bytes; beyond that what was read longest ago is deleted. Default: all. */
  upstreamKeepBytes?: number;
  /** Whether what has been asked for is fetched to its end though nobody reads it any more. Default false. */
  upstreamKeep?: boolean;
  /** Whether `index.html` takes the place of a directory's listing. Default false. */
  index?: boolean;
  /**
   * How long a closing server waits for its clients before it cuts them, in
   * milliseconds: once for appenders, once for followers. Default 2,000.
   */
  closeTimeoutMs?: number;
}

/** More than a timer takes fires at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** What a mode may say of a file: who may read, write and run it. */
const MODE_BITS = 0o777;

/** Without these the server could not use its own files. */
const OWNER_BITS = 0o600;

/** The options with every default filled in. */
export type Settings = Required<Omit<HttpfstreamOptions, 'upstreams'>> & {
  upstreams: readonly UpstreamOption[];
};

/**
 * Fills in the defaults.
 *
 * @throws {TypeError} for a number or a mode that makes no sense, an unknown durability, and upstreams that are malformed, or of the same paths
 */
export function normaliseOptions(options: HttpfstreamOptions): Settings {
  const settings = {
    root: options.root,
    keepAliveMs: options.keepAliveMs ?? 10_000,
    graceMs: options.graceMs ?? 15_000,
    durability: options.durability ?? 'os',
    fileMode: options.fileMode ?? 0o644,
    longPollMs: options.longPollMs ?? 20_000,
    bodyIdleTimeoutMs: options.bodyIdleTimeoutMs ?? 30_000,
    corsOrigins: options.corsOrigins ?? [],
    allowedHosts: options.allowedHosts ?? [],
    upstreams: parseUpstreams(options.upstreams ?? []),
    upstreamMaxBytes: options.upstreamMaxBytes ?? Number.MAX_SAFE_INTEGER,
    upstreamKeepBytes: options.upstreamKeepBytes ?? Number.MAX_SAFE_INTEGER,
    upstreamKeep: options.upstreamKeep ?? false,
    index: options.index ?? false,
    closeTimeoutMs: options.closeTimeoutMs ?? 2000,
  };
  if (settings.durability !== 'os' && settings.durability !== 'disk') {
    throw new TypeError("the option durability must be 'os' or 'disk'");
  }
  const { fileMode } = settings;
  if (
    !Number.isInteger(fileMode) ||
    (fileMode & ~MODE_BITS) !== 0 ||
    (fileMode & OWNER_BITS) !== OWNER_BITS
  ) {
    throw new TypeError(
      'the option fileMode must be a mode from 0o600 to 0o777 that lets the owner read and write',
    );
  }
  const { keepAliveMs, closeTimeoutMs, graceMs, longPollMs, bodyIdleTimeoutMs } = settings;
  const { upstreamMaxBytes, upstreamKeepBytes } = settings;
  assertInteger('upstreamMaxBytes', upstreamMaxBytes, 0, Number.MAX_SAFE_INTEGER);
  assertInteger('upstreamKeepBytes', upstreamKeepBytes, 0, Number.MAX_SAFE_INTEGER);
  assertInteger('keepAliveMs', keepAliveMs, 1, MAX_TIMER_MS);
  assertInteger('closeTimeoutMs', closeTimeoutMs, 1, MAX_TIMER_MS);
  assertInteger('graceMs', graceMs, 0, MAX_TIMER_MS);
  assertInteger('longPollMs', longPollMs, 1, MAX_TIMER_MS);
  assertInteger('bodyIdleTimeoutMs', bodyIdleTimeoutMs, 1, MAX_TIMER_MS);
  return settings;
}

function assertInteger(name: string, value: number, min: number, max: number): void {
  if (Number.isSafeInteger(value) && value >= min && value <= max) return;
  throw new TypeError(`the option ${name} must be an integer from ${min} to ${max}`);
}
