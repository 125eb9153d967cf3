import { Command, Option } from 'commander';
import { splitCredentials, targetUrl, withoutCredentials } from '../client/session/target-url.ts';
import { VERSION } from '../wire/version.ts';
import { ClientLog } from './client-log.ts';
import { type Credentials, storedToken, tokenIn } from './credentials.ts';
import { parseHeaders } from './header-lines.ts';
import type { CommandIo } from './io/io.ts';
import { EXIT_USAGE, parseArguments } from './parse-arguments.ts';

/** Exit code of the client commands for failures. */
export const EXIT_FAILURE = 1;

/** The options that all client commands have, those of the server that the command talks to among them. */
export interface ClientSettings extends Credentials {
  log: ClientLog;
}

/** The same, as they were given. */
export interface GivenSettings extends ClientSettings {
  /** Whether a token was given, which is for one server. */
  hasToken: boolean;
}

/** A URL without user and password, so that it can be shown, and what the server there is sent. */
export interface Server extends Credentials {
  url: string;
}

/** The parts of a client command's help besides its options. */
export interface ClientCommandTexts {
  name: string;
  /** Its arguments in one line. */
  usage: string;
  /** What `-H` does. */
  header: string;
  description: string;
  /** Follows the list of options. */
  help: string;
}

/** Creates a client command with `-H`, `--token`, `--token-file`, `-v`, `--version` and `-h`. */
export function clientCommand({ name, usage, header, description, help }: ClientCommandTexts): Command {
  return new Command(name)
    .description(description)
    .usage(usage)
    .addOption(
      new Option('-H, --header <HEADER>', header)
        .argParser((line, lines: string[]) => [...lines, line])
        .default([], 'none'),
    )
    .addOption(
      new Option('--token <TOKEN>', 'send the server "Authorization: Bearer TOKEN"').env('HTTPFSTREAM_TOKEN'),
    )
    .addOption(
      new Option(
        '--token-file <FILE>',
        'the same with the token in FILE, which is read again for each connection',
      ),
    )
    .option('-v, --verbose', 'tell what is being done')
    .version(VERSION, '--version', 'show the version')
    .helpOption('-h, --help', 'show this help')
    .addHelpText('after', help);
}

/**
 * Parses the arguments of a client command. Returns the exit code if the command ends with that.
 *
 * @param isForOther whether `-H` is for another server; asked when all is parsed
 */
export function parseClientCommand(
  command: Command,
  argv: readonly string[],
  io: CommandIo,
  isForOther = () => false,
): GivenSettings | number {
  const { exitCode } = parseArguments(command, argv, io);
  if (exitCode !== undefined) return exitCode;
  const options = command.opts<{ header: string[]; token?: string; tokenFile?: string; verbose?: true }>();
  const { token, tokenFile, verbose } = options;
  const header = isForOther() ? [] : options.header;
  const hasAuthorization = header.some((line) => /^authorization:/i.test(line));
  const isFromEnvironment = command.getOptionValueSource('token') === 'env';
  if (tokenFile !== undefined && (hasAuthorization || (token !== undefined && !isFromEnvironment))) {
    return refuseUsage(command, '--token-file cannot be used with --token or an Authorization of -H', io);
  }
  const isOverridden = isFromEnvironment && (hasAuthorization || tokenFile !== undefined);
  // An empty token counts as none: a variable may be set to nothing.
  const given = (!isOverridden && token) || undefined;
  const parsed = parseHeaders(header, given);
  if ('mistake' in parsed) return refuseUsage(command, parsed.mistake, io);
  return {
    headers: parsed.headers,
    token: tokenFile === undefined ? undefined : tokenIn(tokenFile),
    hasToken: given !== undefined || tokenFile !== undefined,
    log: new ClientLog(io.stderr, verbose === true),
  };
}

/** Reports wrong usage that the parser does not notice. Returns the exit code. */
export function refuseUsage(command: Command, message: string, io: CommandIo): number {
  io.stderr.write(`${command.name()}: ${message}\n`);
  return EXIT_USAGE;
}

/**
 * Moves user and password from a URL to a header, so that the URL can be shown. If nothing says who asks, it is the
 * token that the user has noted for the server.
 *
 * @param given takes precedence over what is in the URL
 * @throws {InvalidUrlError} when it is not a URL that can be requested
 * @throws {Error} when others may read what the user has noted, or it is malformed
 */
export function serverAt(typed: string, given: Credentials): Server {
  const target = splitCredentials(targetUrl(typed));
  const headers = { ...target.headers, ...given.headers };
  const isSaid = given.token !== undefined || 'authorization' in headers;
  const token = isSaid ? given.token : storedToken(target.url);
  return { url: withoutCredentials(typed), headers, token };
}

/** Whether a URL names not a file but a directory: its path ends in `/`. */
export function isDirectoryUrl(url: string): boolean {
  return URL.canParse(url) && new URL(url).pathname.endsWith('/');
}
