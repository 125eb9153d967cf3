import type { CoreLimits } from '../core/limits/limits.ts';
import type { QuotaRule } from '../core/limits/quotas.ts';
import type { Durability } from '../core/log/local-log.ts';
import {
  parseUpstreams,
  type UpstreamOption,
  type UpstreamSettings,
} from '../relay/upstream/upstream-option.ts';
import type { Access } from '../rights/access.ts';
import { parsePattern } from '../rights/path-pattern.ts';
import type { Authorize } from './rights/rights.ts';

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
   * Whether browsers that navigate to a resource get the page in which people see it, and follow it; everybody else gets
   * the bytes. Default true.
   */
  viewer?: boolean;
  /** Whether the scripts run of pages that users have stored, in an origin of their own. Default false. */
  pageScripts?: boolean;
  /**
   * Says who may do what; so does the file of `httpfstream-server -auth`, which is one.
   * Default: everybody may do everything.
   */
  access?: Access;
  /**
   * Asked whether a request may do something, before anything is looked at for it, and again for what is known only
   * later: each file of a form, each entry of a listing. It may be asked for more than what is done then: for a `GET`
   * of `/a` for the right to `follow` the file `/a`, and to `list` the directory `/a/`. What it answers holds for as
   * long as the request lasts. `false` is answered with 401 or 403; an error that it throws is answered as such.
   * Default: it is not asked.
   */
  authorize?: Authorize;
  /**
   * How long the registration waits for a root that another server uses, in milliseconds: one that closes, and that
   * this one replaces. Default 0: not at all.
   */
  waitRootMs?: number;
  /**
   * How many bytes of the disk stay free. With less nothing new begins (507, `HFS_STORAGE_FULL`), and what lives goes on;
   * with less than half of that appends that live end, too. `DELETE` always works. Default 256 MiB, or a twentieth of
   * the disk, if that is less; 0: the disk may become full.
   */
  minFreeBytes?: number;
  /** The same of the files that can still be made (inodes). Default 1,000, or a twentieth of all, if that is less. */
  minFreeFiles?: number;
  /**
   * How many bytes may be stored at all paths together that a pattern matches: `/**` is everything. What does not fit is
   * refused as a whole (507, `HFS_QUOTA_EXCEEDED`). Default none.
   */
  quotas?: readonly QuotaRule[];
  /** How long a resource may become, in bytes; what does not fit is refused as a whole (413). Default: any length. */
  maxResourceBytes?: number;
  /** How many resources may be in use at the same time; then 503. Default 10,000. */
  maxLive?: number;
  /** How many may follow a resource at the same time; then 503. Default 10,000. */
  maxFollowers?: number;
  /**
   * How many requests a second each client may send: a subject, or else an address (of IPv6 a /64), but for this
   * machine's own. Five times as many may come at a time; then 429. Ten times as many may go on with an append or a
   * follower that was cut. Default 200; 0: any number.
   */
  rate?: number;
  /** How many requests may wait for what is missing, or is to come (long-polls); then 429. Default 4,000. */
  maxWaiting?: number;
  /** The same of each client. Default 256. */
  maxWaitingPerClient?: number;
  /**
   * How long a closing server waits for its clients before it cuts them, in
   * milliseconds: once for appenders, once for followers. Default 2,000.
   */
  closeTimeoutMs?: number;
}

/** How much there may be of everything. */
export type LimitOptions = Pick<
  HttpfstreamOptions,
  CoreLimitName | 'rate' | 'maxWaiting' | 'maxWaitingPerClient'
>;

/** Those that become limits of the core. */
type CoreLimitName =
  | 'minFreeBytes'
  | 'minFreeFiles'
  | 'quotas'
  | 'maxResourceBytes'
  | 'maxLive'
  | 'maxFollowers';

/** More than a timer takes fires at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** What a mode may say of a file: who may read, write and run it. */
const MODE_BITS = 0o777;

/** Without these the server could not use its own files. */
const OWNER_BITS = 0o600;

/** The options with every default filled in. */
export type Settings = Required<
  Omit<HttpfstreamOptions, 'upstreams' | 'access' | 'authorize' | CoreLimitName>
> & {
  limits: CoreLimits;
  upstreams: readonly UpstreamOption[];
  access: Access | undefined;
  authorize: Authorize | undefined;
};

/**
 * Fills in the defaults.
 *
 * @throws {TypeError} for a number or a mode that makes no sense, an unknown durability, a pattern with two quotas, and upstreams that
 *   are malformed, of the same paths, or to get credentials that are for this server
 */
export function normaliseOptions(options: HttpfstreamOptions): Settings {
  const settings = {
    root: options.root,
    limits: limitsOf(options),
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
    viewer: options.viewer ?? true,
    pageScripts: options.pageScripts ?? false,
    rate: options.rate ?? 200,
    maxWaiting: options.maxWaiting ?? 4000,
    maxWaitingPerClient: options.maxWaitingPerClient ?? 256,
    access: options.access,
    authorize: options.authorize,
    waitRootMs: options.waitRootMs ?? 0,
    closeTimeoutMs: options.closeTimeoutMs ?? 2000,
  };
  if (settings.durability !== 'os' && settings.durability !== 'disk') {
    throw new TypeError("the option durability must be 'os' or 'disk'");
  }
  if (settings.access !== undefined && settings.upstreams.some((upstream) => upstream.passesAuthorization)) {
    throw new TypeError("with the option access a user's credential is for this server: no upstream gets it");
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
  const { keepAliveMs, closeTimeoutMs, graceMs, longPollMs, bodyIdleTimeoutMs, waitRootMs } = settings;
  const { upstreamMaxBytes, upstreamKeepBytes } = settings;
  for (const name of ['rate', 'maxWaiting', 'maxWaitingPerClient'] as const) {
    assertInteger(name, settings[name], 0, Number.MAX_SAFE_INTEGER);
  }
  assertInteger('upstreamMaxBytes', upstreamMaxBytes, 0, Number.MAX_SAFE_INTEGER);
  assertInteger('upstreamKeepBytes', upstreamKeepBytes, 0, Number.MAX_SAFE_INTEGER);
  assertInteger('keepAliveMs', keepAliveMs, 1, MAX_TIMER_MS);
  assertInteger('closeTimeoutMs', closeTimeoutMs, 1, MAX_TIMER_MS);
  assertInteger('graceMs', graceMs, 0, MAX_TIMER_MS);
  assertInteger('waitRootMs', waitRootMs, 0, MAX_TIMER_MS);
  assertInteger('longPollMs', longPollMs, 1, MAX_TIMER_MS);
  assertInteger('bodyIdleTimeoutMs', bodyIdleTimeoutMs, 1, MAX_TIMER_MS);
  return settings;
}

/** @throws {TypeError} when they make no sense */
function limitsOf(options: HttpfstreamOptions): CoreLimits {
  const { minFreeBytes, minFreeFiles, quotas = [], maxResourceBytes } = options;
  const { maxLive = 10_000, maxFollowers = 10_000 } = options;
  const sizes = { minFreeBytes, minFreeFiles, maxResourceBytes };
  for (const [name, value] of Object.entries(sizes)) {
    if (value !== undefined) assertInteger(name, value, 0, Number.MAX_SAFE_INTEGER);
  }
  for (const [name, value] of Object.entries({ maxLive, maxFollowers })) {
    assertInteger(name, value, 1, Number.MAX_SAFE_INTEGER);
  }
  for (const { pattern, bytes } of quotas) {
    parsePattern(pattern);
    assertInteger('quotas', bytes, 0, Number.MAX_SAFE_INTEGER);
  }
  if (new Set(quotas.map(({ pattern }) => pattern)).size < quotas.length) {
    throw new TypeError('the option quotas must have each pattern once');
  }
  return {
    minFree: { bytes: minFreeBytes, files: minFreeFiles },
    quotas,
    maxResourceBytes: maxResourceBytes ?? Number.MAX_SAFE_INTEGER,
    maxLive,
    maxFollowers,
  };
}

function assertInteger(name: string, value: number, min: number, max: number): void {
  if (Number.isSafeInteger(value) && value >= min && value <= max) return;
  throw new TypeError(`the option ${name} must be an integer from ${min} to ${max}`);
}
