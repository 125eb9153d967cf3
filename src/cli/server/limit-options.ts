import { type Command, InvalidArgumentError, Option } from 'commander';
import { mistakeInPattern } from '../../rights/path-pattern.ts';
import type { AllLimits } from '../../server/standalone.ts';

type QuotaRule = NonNullable<AllLimits['quotas']>[number];

/** The options of `httpfstream-server` that bound how much there may be of everything. */
export interface LimitArguments {
  /** In bytes; null: as much as the plugin takes by default. */
  minFree: number | null;
  minFreeFiles: number | null;
  quota: readonly QuotaRule[];
  /** In bytes. */
  maxResource: number;
  maxLive: number;
  maxFollowers: number;
  maxWaiting: number;
  maxWaitingPerClient: number;
  rate: number;
  maxConnections: number | null;
  maxConnectionsPerAddress: number;
}

/** Declares the options. Each can also be set in the environment. */
export function addLimitOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        '--min-free <BYTES>',
        'bytes of the disk that stay free: with less nothing new begins, with less than half of that appends end',
      )
        .env('HTTPFSTREAM_MIN_FREE')
        .argParser(bytesOption)
        .default(null, '256MiB, or a twentieth of the disk if that is less'),
    )
    .addOption(
      new Option('--min-free-files <COUNT>', 'the same of files that can still be made (inodes)')
        .env('HTTPFSTREAM_MIN_FREE_FILES')
        .argParser(countOption)
        .default(null, '1000, or a twentieth of all if that is less'),
    )
    .addOption(
      new Option(
        '--quota <PATTERN=BYTES>',
        'how much may be stored at all paths that match: "/**=10GiB", "/builds/**=1GiB"; may be repeated, or a list ' +
          'with commas',
      )
        .env('HTTPFSTREAM_QUOTA')
        .argParser(quotasOption)
        .default([], 'none'),
    )
    .addOption(
      new Option('--max-resource <BYTES>', 'how long a resource may become')
        .env('HTTPFSTREAM_MAX_RESOURCE')
        .argParser(bytesOption)
        .default(Number.MAX_SAFE_INTEGER, 'any length'),
    )
    .addOption(
      new Option('--max-live <COUNT>', 'how many resources may be in use at the same time')
        .env('HTTPFSTREAM_MAX_LIVE')
        .argParser(positiveOption)
        .default(10_000),
    )
    .addOption(
      new Option('--max-followers <COUNT>', 'how many may follow a resource at the same time')
        .env('HTTPFSTREAM_MAX_FOLLOWERS')
        .argParser(positiveOption)
        .default(10_000),
    )
    .addOption(
      new Option('--max-waiting <COUNT>', 'how many requests may wait for what is missing, or is to come')
        .env('HTTPFSTREAM_MAX_WAITING')
        .argParser(countOption)
        .default(4000),
    )
    .addOption(
      new Option('--max-waiting-per-client <COUNT>', 'the same of each client: a token, or else an address')
        .env('HTTPFSTREAM_MAX_WAITING_PER_CLIENT')
        .argParser(countOption)
        .default(256),
    )
    .addOption(
      new Option(
        '--rate <COUNT>',
        'how many requests a second each client may send: a token, or else an address; 0 is any number',
      )
        .env('HTTPFSTREAM_RATE')
        .argParser(countOption)
        .default(200),
    )
    .addOption(
      new Option('--max-connections <COUNT>', 'how many connections there may be')
        .env('HTTPFSTREAM_MAX_CONNECTIONS')
        .argParser(positiveOption)
        .default(null, 'half of the descriptors, less 256'),
    )
    .addOption(
      new Option('--max-connections-per-address <COUNT>', 'the same of each address, but for this machine')
        .env('HTTPFSTREAM_MAX_CONNECTIONS_PER_ADDRESS')
        .argParser(positiveOption)
        .default(1024),
    );
}

/** They as the server takes them. */
export function limitsOf(options: LimitArguments): AllLimits {
  const { minFree, minFreeFiles, maxConnections } = options;
  return {
    ...(minFree !== null && { minFreeBytes: minFree }),
    ...(minFreeFiles !== null && { minFreeFiles }),
    ...(maxConnections !== null && { maxConnections }),
    quotas: options.quota,
    maxResourceBytes: options.maxResource,
    maxLive: options.maxLive,
    maxFollowers: options.maxFollowers,
    maxWaiting: options.maxWaiting,
    maxWaitingPerClient: options.maxWaitingPerClient,
    rate: options.rate,
    maxConnectionsPerAddress: options.maxConnectionsPerAddress,
  };
}

/** All options but those that can be replaced while a server runs: of quotas it is for which paths they are. */
export function withoutLimits<T extends LimitArguments>(options: T) {
  const { minFree, minFreeFiles, maxResource, maxLive, maxFollowers, ...others } = options;
  const { maxWaiting, maxWaitingPerClient, rate, maxConnections, maxConnectionsPerAddress, ...rest } = others;
  return { ...rest, quota: rest.quota.map(({ pattern }) => pattern).sort() };
}

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};

/** @returns how many bytes a text says: `1048576`, or `1MiB` */
export function bytesOption(text: string): number {
  const { digits = '', unit = '' } = /^(?<digits>\d+)(?<unit>[KMGT]iB)?$/.exec(text)?.groups ?? {};
  const bytes = digits === '' ? Number.NaN : Number(digits) * (UNITS[unit] as number);
  if (Number.isSafeInteger(bytes)) return bytes;
  throw new InvalidArgumentError(
    'It must be a whole number of bytes, or of KiB, MiB, GiB or TiB, as in 10GiB.',
  );
}

function countOption(text: string): number {
  if (/^\d+$/.test(text) && Number.isSafeInteger(Number(text))) return Number(text);
  throw new InvalidArgumentError('It must be a whole number.');
}

function positiveOption(text: string): number {
  const count = countOption(text);
  if (count > 0) return count;
  throw new InvalidArgumentError('It must be 1 or more.');
}

/** @param others from earlier occurrences of the option */
function quotasOption(text: string, others: readonly QuotaRule[]): readonly QuotaRule[] {
  const items = text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
  const quotas = [...others];
  for (const rule of items.map(quotaOf)) {
    if (quotas.some(({ pattern }) => pattern === rule.pattern)) {
      throw new InvalidArgumentError(`There is another quota for ${rule.pattern}.`);
    }
    quotas.push(rule);
  }
  return quotas;
}

function quotaOf(text: string): QuotaRule {
  const { pattern, size } = /^(?<pattern>.+)=(?<size>[^=]+)$/.exec(text)?.groups ?? {};
  if (pattern === undefined || size === undefined) {
    throw new InvalidArgumentError('It must look like /builds/**=10GiB.');
  }
  const mistake = mistakeInPattern(pattern);
  if (mistake !== undefined) throw new InvalidArgumentError(`The pattern ${mistake}.`);
  return { pattern, bytes: bytesOption(size) };
}
