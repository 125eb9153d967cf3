import { Command, Option } from 'commander';
import {
  splitCredentials,
  textWithoutCredentials,
  withoutCredentials,
} from '../client/connection/target-url.ts';
import { targetUrl } from '../client/connection/target-url.ts';
import type { ReconnectEvent, RetryOptions } from '../client/stream-options.ts';
import { VERSION } from '../wire/version.ts';
import type { CommandIo } from './io/io.ts';
import { EXIT_USAGE, parseArguments } from './parse-arguments.ts';
import { parseHeaders } from './request-headers.ts';

/** Exit code of the client commands for failures. */
export const EXIT_FAILURE = 1;

/** Where the client commands say what they do. No URL is shown with user and password. */
export interface ClientLog {
  /** Writes a line to standard error. */
  log: (line: string) => void;
  /** The same, with `-v` only. */
  logVerbose: (line: string) => void;
}

/** What every client command is told beside its own. */
export interface ClientSettings extends ClientLog {
  /** Headers for the server, and nobody else. */
  headers: Readonly<Record<string, string>>;
}

/** A URL that may be shown, and what is sent to the server there, and nobody else. */
export interface Server {
  url: string;
  headers: Readonly<Record<string, string>>;
}

/** What is said of a client command besides its options. */
export interface ClientCommandTexts {
  name: string;
  /** Its arguments in one line. */
  usage: string;
  description: string;
  /** Follows the list of options. */
  help: string;
}

/** Begins a client command: with `-H`, `--token`, `-v`, `--version` and `-h`. */
export function clientCommand({ name, usage, description, help }: ClientCommandTexts): Command {
  return new Command(name)
    .description(description)
    .usage(usage)
    .addOption(
      new Option(
        '-H, --header <HEADER>',
        'send a header to the server, as "Name: value"; may come several times',
      )
        .argParser((line, lines: string[]) => [...lines, line])
        .default([], 'none'),
    )
    .addOption(
      new Option('--token <TOKEN>', 'send the server "Authorization: Bearer TOKEN"').env('HTTPFSTREAM_TOKEN'),
    )
    .option('-v, --verbose', 'tell what is being done')
    .version(VERSION, '--version', 'show the version')
    .helpOption('-h, --help', 'show this help')
    .addHelpText('after', help);
}

/** Parses a client command. Returns the exit code when it is over with that. */
export function parseClientCommand(
  command: Command,
  argv: readonly string[],
  io: CommandIo,
): ClientSettings | number {
  const { exitCode } = parseArguments(command, argv, io);
  if (exitCode !== undefined) return exitCode;
  const { header, token, verbose } = command.opts<{ header: string[]; token?: string; verbose?: true }>();
  const isOutdone =
    command.getOptionValueSource('token') === 'env' && header.some((line) => /^authorization:/i.test(line));
  // Set to nothing is not set.
  const parsed = parseHeaders(header, (!isOutdone && token) || undefined);
  if ('mistake' in parsed) return refuseUsage(command, parsed.mistake, io);
  // The one place where what servers say comes to be shown.
  const log = (line: string) => void io.stderr.write(`${printable(textWithoutCredentials(line))}\n`);
  return { headers: parsed.headers, log, logVerbose: verbose ? log : () => {} };
}

/**
 * Takes user and password out of a URL as it was typed: messages are to be without them.
 *
 * @param headers win over what was in the URL
 * @throws {InvalidUrlError} when it is no URL that can be asked for
 */
export function serverAt(typed: string, headers: Readonly<Record<string, string>>): Server {
  const target = splitCredentials(targetUrl(typed));
  return { url: withoutCredentials(typed), headers: { ...target.headers, ...headers } };
}

/** Tells of wrong usage that the parser does not see. Returns the exit code. */
export function refuseUsage(command: Command, message: string, io: CommandIo): number {
  io.stderr.write(`${command.name()}: ${message}\n`);
  return EXIT_USAGE;
}

/** The attempt that is told without `-v`, too: by then the connection has been lost for a few seconds. */
const TOLD_ATTEMPT = 5;

/** Attempts to go on in a row: with their waits they take about a quarter of an hour. */
export const RETRY: RetryOptions = { times: 150 };

/** With `-v`: what is said where nothing but the end of the connection says that a body is whole. */
export const PRESUMED_END = 'the server has closed the connection: in HTTP/1.0 that is the end, be it or not';

/** Tells of a connection that was lost, and that it is there again. */
export class ConnectionNews {
  readonly #log: ClientLog;
  readonly #prefix: string;
  #isTold = false;

  /** @param prefix of each line */
  constructor(log: ClientLog, prefix = '') {
    this.#log = log;
    this.#prefix = prefix;
  }

  /** It was lost, and will be made anew. */
  lost({ attempt, delayMs, error }: ReconnectEvent): void {
    const isToBeTold = attempt === TOLD_ATTEMPT;
    if (isToBeTold) this.#isTold = true;
    const seconds = (delayMs / 1000).toFixed(1);
    this.#tell(
      isToBeTold,
      `connection lost (${error.message}): trying again in ${seconds} s (attempt ${attempt})`,
    );
  }

  /** It was made anew. Who was told that it was lost is told that, too. */
  again(): void {
    this.#tell(this.#isTold, 'connected again');
    this.#isTold = false;
  }

  #tell(isForAll: boolean, text: string): void {
    const { log, logVerbose } = this.#log;
    (isForAll ? log : logVerbose)(`${this.#prefix}${text}`);
  }
}

/**
 * Text that came from outside as it may be shown on a terminal: without
 * control characters, also those of formatting and of lines, which could do
 * more there than be read.
 */
function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, ' ');
}
