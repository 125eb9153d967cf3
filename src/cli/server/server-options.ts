import { isIP } from 'node:net';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { parseUpstream, prefixOf } from '../../relay/upstream/upstream-option.ts';
import type { HttpfstreamOptions } from '../../server/settings.ts';
import { positiveSecondsOption, secondsOption } from '../parse-arguments.ts';
import { addLimitOptions, bytesOption, type LimitArguments } from './limit-options.ts';
import { type ListenAddress, parseListenAddress } from './listen-address.ts';
import type { HeaderFile, UpstreamArguments } from './upstreams.ts';

/** Named groups of addresses, for --trust-proxy. */
const ADDRESS_GROUPS = ['loopback', 'linklocal', 'uniquelocal'];

const HOST_NAME = /^(?:\*\.)?[a-z\d_-]+(?:\.[a-z\d_-]+)*\.?$/;

const ORIGIN = /^[a-z][a-z0-9+.-]*:\/\/[^\s/?#@,]+$/;

/** The options of `httpfstream-server`, with defaults. */
export interface ServerOptions extends UpstreamArguments, LimitArguments {
  root: string;
  http: ListenAddress;
  durability: NonNullable<HttpfstreamOptions['durability']>;
  fileMode: number;
  /** In seconds. */
  grace: number;
  /** In seconds. */
  longPoll: number;
  cors: readonly string[];
  allowHost: readonly string[];
  /** File that says who may do what. */
  auth?: string;
  trustProxy: readonly string[];
  index: boolean;
  viewer: boolean;
  pageScripts: boolean;
  admin: ListenAddress | undefined;
  accessLog: boolean;
  upstreamMaxBytes: number;
  upstreamKeepBytes: number;
  upstreamKeep: boolean;
  /** Files, in pairs. */
  tlsCert: readonly string[];
  tlsKey: readonly string[];
  /** In seconds. */
  drain: number;
  /** In seconds. */
  waitRoot: number;
  config?: string;
  check: boolean;
  logLevel: string;
}

/** Declares the options. Each can also be set in the environment. */
export function addServerOptions(command: Command): Command {
  command
    .addOption(
      new Option('--root <DIR>', 'directory that holds the files; made if it is missing')
        .env('HTTPFSTREAM_ROOT')
        .default('./data'),
    )
    .addOption(
      new Option('--http <ADDR>', 'address to listen on; :8080 is all interfaces')
        .env('HTTPFSTREAM_HTTP')
        .argParser(listenAddressOption)
        .default({ host: 'localhost', port: 8080 }, 'localhost:8080'),
    )
    .addOption(
      new Option(
        '--admin <ADDR>',
        'address at which numbers, health and what is live are answered (/-/), to everybody who reaches it',
      )
        .env('HTTPFSTREAM_ADMIN')
        .argParser(listenAddressOption)
        .default(undefined, 'none'),
    )
    .addOption(
      new Option('--access-log [BOOLEAN]', 'log each request, in one line, when it is over')
        .env('HTTPFSTREAM_ACCESS_LOG')
        .argParser(booleanOption)
        .preset('true')
        .default(false),
    )
    .addOption(
      new Option('--durability <LEVEL>', 'acknowledge bytes when the system (os) or the disk (disk) has them')
        .env('HTTPFSTREAM_DURABILITY')
        .choices(['os', 'disk'])
        .default('os'),
    )
    .addOption(
      new Option('--file-mode <MODE>', 'mode of the files that are made, as the umask leaves it')
        .env('HTTPFSTREAM_FILE_MODE')
        .argParser(fileModeOption)
        .default(0o644, '0644'),
    )
    .addOption(
      new Option('--grace <SECONDS>', 'how long an append waits for a client whose connection broke')
        .env('HTTPFSTREAM_GRACE')
        .argParser(secondsOption)
        .default(15),
    )
    .addOption(
      new Option('--long-poll <SECONDS>', 'how long a long-poll waits for bytes')
        .env('HTTPFSTREAM_LONG_POLL')
        .argParser(positiveSecondsOption)
        .default(20),
    )
    .addOption(
      new Option(
        '--cors <ORIGIN>',
        'origin whose pages may use this server, or *; may be repeated, or a list with commas',
      )
        .env('HTTPFSTREAM_CORS')
        .argParser(originsOption)
        .default([], 'none'),
    )
    .addOption(
      new Option(
        '--allow-host <NAME>',
        'name under which this server is reached, *.NAME for all below it, or *; may be repeated, or a list with commas',
      )
        .env('HTTPFSTREAM_ALLOW_HOST')
        .argParser(hostsOption)
        .default([], 'none'),
    )
    .addOption(
      new Option(
        '--auth <FILE>',
        'file that says who may do what, for nobody but its owner; without it everybody may do everything',
      )
        .env('HTTPFSTREAM_AUTH')
        .argParser(fileOption),
    )
    .addOption(
      new Option(
        '--trust-proxy [ADDR]',
        'proxy to be believed where a request comes from (X-Forwarded-*): address, network, or loopback, which is what ' +
          'it means without a value; may be repeated, or a list with commas',
      )
        .env('HTTPFSTREAM_TRUST_PROXY')
        .argParser(proxiesOption)
        .preset('loopback')
        .default([], 'none'),
    )
    .addOption(
      new Option('--index [BOOLEAN]', "show a directory's index.html in place of its listing")
        .env('HTTPFSTREAM_INDEX')
        .argParser(booleanOption)
        .preset('true')
        .default(false),
    )
    .addOption(
      new Option(
        '--no-viewer [BOOLEAN]',
        'send browsers the bytes, too, in place of the pages in which people see and follow them',
      )
        .env('HTTPFSTREAM_NO_VIEWER')
        .argParser((text) => !booleanOption(text))
        .preset('true')
        .default(true, 'false'),
    )
    .addOption(
      new Option(
        '--page-scripts [BOOLEAN]',
        'let the scripts run of pages that users have stored, in an origin of their own',
      )
        .env('HTTPFSTREAM_PAGE_SCRIPTS')
        .argParser(booleanOption)
        .preset('true')
        .default(false),
    )
    .addOption(
      new Option(
        '--upstream <URL>',
        'server from which comes what is not here, or /PREFIX=URL for what is below a path; may be repeated, or a list with ' +
          'commas',
      )
        .env('HTTPFSTREAM_UPSTREAM')
        .argParser(upstreamsOption)
        .default([], 'none'),
    )
    .addOption(
      new Option(
        '--upstream-header-file <FILE>',
        'file with headers for the upstream of all paths, a line each ("Name: value"), or /PREFIX=FILE for the one with this ' +
          'prefix; may be repeated, or a list with commas',
      )
        .env('HTTPFSTREAM_UPSTREAM_HEADER_FILE')
        .argParser(headerFilesOption)
        .default([], 'none'),
    )
    .addOption(
      new Option(
        '--upstream-authorization <PREFIX>',
        "pass users' own Authorization on to the upstream with this prefix, or / for that of all paths, if it is an " +
          'httpfstream server; may be repeated, or a list with commas',
      )
        .env('HTTPFSTREAM_UPSTREAM_AUTHORIZATION')
        .argParser(prefixesOption)
        .default([], 'none'),
    )
    .addOption(
      new Option(
        '--upstream-max-bytes <BYTES>',
        'how long what is kept of an upstream may be; what is longer is passed on to each reader',
      )
        .env('HTTPFSTREAM_UPSTREAM_MAX_BYTES')
        .argParser(bytesOption)
        .default(Number.MAX_SAFE_INTEGER, 'as long as it is'),
    )
    .addOption(
      new Option(
        '--upstream-keep-bytes <BYTES>',
        'how much of upstreams is kept; beyond that what was read longest ago is deleted',
      )
        .env('HTTPFSTREAM_UPSTREAM_KEEP_BYTES')
        .argParser(bytesOption)
        .default(Number.MAX_SAFE_INTEGER, 'all'),
    )
    .addOption(
      new Option(
        '--upstream-keep [BOOLEAN]',
        'go on with what nobody reads any more; otherwise that ends after 30 seconds',
      )
        .env('HTTPFSTREAM_UPSTREAM_KEEP')
        .argParser(booleanOption)
        .preset('true')
        .default(false),
    )
    .addOption(
      new Option(
        '--tls-cert <FILE>',
        'certificate, and those that vouch for it, in PEM: the server speaks https; may be repeated, or a list with commas',
      )
        .env('HTTPFSTREAM_TLS_CERT')
        .argParser(filesOption)
        .default([], 'none'),
    )
    .addOption(
      new Option('--tls-key <FILE>', 'the key of the certificate that is named at the same place')
        .env('HTTPFSTREAM_TLS_KEY')
        .argParser(filesOption)
        .default([], 'none'),
    )
    .addOption(
      new Option(
        '--drain <SECONDS>',
        'how long a server that closes waits for connections that clients use again',
      )
        .env('HTTPFSTREAM_DRAIN')
        .argParser(secondsOption)
        .default(1),
    )
    .addOption(
      new Option('--wait-root <SECONDS>', 'how long a start waits for a root that another server uses')
        .env('HTTPFSTREAM_WAIT_ROOT')
        .argParser(secondsOption)
        .default(0),
    )
    .addOption(
      new Option(
        '--config <FILE>',
        'JSON with names and values of options, which counts where neither options nor the environment say anything',
      ).env('HTTPFSTREAM_CONFIG'),
    )
    .addOption(
      new Option(
        '--check',
        'verify the root, repair what can be, and say what was done; serves nothing',
      ).default(false),
    )
    .addOption(
      new Option('--log-level <LEVEL>', 'how much to log')
        .env('HTTPFSTREAM_LOG_LEVEL')
        .choices(['debug', 'info', 'warn', 'error', 'silent'])
        .default('info'),
    );
  return addLimitOptions(command);
}

function listenAddressOption(text: string): ListenAddress {
  const address = parseListenAddress(text);
  if (address === undefined)
    throw new InvalidArgumentError('It must look like :8080, localhost:8080 or [::1]:8080.');
  return address;
}

function fileModeOption(text: string): number {
  const mode = /^0?[67][0-7]{2}$/.test(text) ? Number.parseInt(text, 8) : undefined;
  if (mode === undefined) throw new InvalidArgumentError('It must look like 0644, and begin with 6 or 7.');
  return mode;
}

/** A name that is missing, as of a variable that is not set, must not open the server to everybody. */
function fileOption(text: string): string {
  if (text === '') throw new InvalidArgumentError('It must be the name of a file.');
  return text;
}

function booleanOption(text: string): boolean {
  if (/^(?:true|1)$/i.test(text)) return true;
  if (/^(?:false|0|)$/i.test(text)) return false;
  throw new InvalidArgumentError('It must be true or false.');
}

/** @param others from earlier occurrences of the option */
function originsOption(text: string, others: readonly string[]): readonly string[] {
  const origins = itemsOf(text.toLowerCase());
  for (const origin of origins) {
    if (origin !== '*' && !ORIGIN.test(origin)) {
      throw new InvalidArgumentError('It must look like https://example.com, with no path, or be *.');
    }
  }
  return [...others, ...origins];
}

/** @param others from earlier occurrences of the option */
function hostsOption(text: string, others: readonly string[]): readonly string[] {
  const names = itemsOf(text.toLowerCase());
  for (const name of names) {
    if (name !== '*' && !HOST_NAME.test(name)) {
      throw new InvalidArgumentError('It must look like logs.example.com or *.example.com, or be *.');
    }
  }
  return [...others, ...names];
}

/** @param others from earlier occurrences of the option */
function proxiesOption(text: string, others: readonly string[]): readonly string[] {
  const proxies = itemsOf(text.toLowerCase());
  for (const proxy of proxies) {
    if (!ADDRESS_GROUPS.includes(proxy) && !isNetwork(proxy)) {
      throw new InvalidArgumentError(
        `It must look like 10.0.0.1 or 10.0.0.0/8, or be ${ADDRESS_GROUPS.join(', ')}.`,
      );
    }
  }
  return [...others, ...proxies];
}

/** @param others from earlier occurrences of the option */
function upstreamsOption(text: string, others: readonly string[]): readonly string[] {
  const upstreams = itemsOf(text);
  if (!upstreams.every(isUpstream)) {
    throw new InvalidArgumentError('It must look like http://host:8080 or /prefix=https://host/path.');
  }
  return [...others, ...upstreams];
}

/** @param others from earlier occurrences of the option */
function headerFilesOption(text: string, others: readonly HeaderFile[]): readonly HeaderFile[] {
  const files = itemsOf(text).map((item) => {
    const [, prefix = '/', file = item] = /^(\/[^=]*)=(.+)$/.exec(item) ?? [];
    return { prefix: prefixOption(prefix), file };
  });
  return [...others, ...files];
}

/** @param others from earlier occurrences of the option */
function filesOption(text: string, others: readonly string[]): readonly string[] {
  const files = itemsOf(text);
  // As of a variable that is not set: it must not have the server speak without TLS.
  if (files.length === 0) throw new InvalidArgumentError('It must be the name of a file.');
  return [...others, ...files];
}

/** @param others from earlier occurrences of the option */
function prefixesOption(text: string, others: readonly string[]): readonly string[] {
  return [...others, ...itemsOf(text).map(prefixOption)];
}

function prefixOption(text: string): string {
  try {
    if (text.startsWith('/')) return prefixOf(text);
  } catch {
    // As said below.
  }
  throw new InvalidArgumentError('It must be a path, or / for all paths.');
}

function isUpstream(text: string): boolean {
  try {
    return parseUpstream(text) !== undefined;
  } catch {
    return false;
  }
}

function isNetwork(text: string): boolean {
  const [, address = '', length = '1'] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const version = isIP(address);
  return version !== 0 && Number(length) >= 1 && Number(length) <= (version === 4 ? 32 : 128);
}

/** The items of a comma-separated list. */
function itemsOf(text: string): string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}
