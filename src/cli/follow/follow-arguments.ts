import { type Command, InvalidArgumentError, Option } from 'commander';
import {
  clientCommand,
  isDirectoryUrl,
  parseClientCommand,
  refuseUsage,
  type Server,
  serverAt,
} from '../client-command.ts';
import type { ClientLog } from '../client-log.ts';
import { originOf } from '../credentials.ts';
import { type CommandIo, messageOf } from '../io/io.ts';
import { secondsOption } from '../parse-arguments.ts';

/** How long `--wait` waits when it has no value. */
const DEFAULT_WAIT_SECONDS = 3600;

/** Where to begin: at a byte, at the last lines, or else at the beginning. */
export interface FollowStart {
  /** Position of the first byte; negative: that many bytes before the end. */
  from?: number;
  lines?: number;
  /** How many lines to leave out from there. */
  skipLines?: number;
}

/** The arguments of `httpfstream-follow`. */
export interface FollowArguments {
  /** The resources. */
  servers: readonly Server[];
  log: ClientLog;
  start: FollowStart;
  /** How many seconds to wait for a resource that does not exist yet. */
  waitSeconds: number | undefined;
  /** Whether to follow again after each end. */
  again: boolean;
  /** Where to write instead of standard output. */
  file: string | undefined;
  /** Whether the exit code is that of the command that wrote the stream. */
  passesStatus: boolean;
}

interface Options {
  lines?: FollowStart;
  bytes?: FollowStart;
  from?: FollowStart;
  wait?: number;
  F?: true;
  output?: string;
  exitStatus?: true;
}

/** Parses the arguments of `httpfstream-follow`. Returns the exit code if the command ends with that. */
export function parseFollowArguments(argv: readonly string[], io: CommandIo): FollowArguments | number {
  const command = clientCommand(TEXTS)
    .argument('<URL...>', 'http or https URLs of the resources')
    .addOption(
      new Option(
        '-n, --lines <LINES>',
        'begin with the last LINES lines; +N: with the Nth line; -N for short',
      )
        .argParser(parseLines)
        .conflicts(['bytes', 'from', 'output']),
    )
    .addOption(
      new Option('-c, --bytes <BYTES>', 'begin with the last BYTES bytes; +N: with the Nth byte')
        .argParser(parseBytes)
        .conflicts(['from', 'output']),
    )
    .addOption(
      new Option('--from <N>', 'begin after the first N bytes; -N: with the last N bytes')
        .argParser(parseFrom)
        .conflicts('output'),
    )
    .addOption(
      new Option(
        '--wait [S]',
        'wait up to S seconds, an hour without =S, for a resource that is missing; -F does in any case',
      )
        .argParser(secondsOption)
        // -F also reports what is wrong in the meantime, which a server does not while it waits.
        .conflicts('F'),
    )
    .option('-f, --follow', 'as tail has it; it follows in any case')
    .option('-F', 'go on after each end until Ctrl-C, also when the file is cut, deleted or made anew')
    .option('-o, --output <FILE>', 'write to FILE instead; if it exists, go on at its end')
    .addOption(
      new Option('--exit-status', 'exit as the command did that wrote the stream; 125 if that is not known')
        // -F has no last end.
        .conflicts('F'),
    )
    .configureHelp({ optionTerm: ({ flags }) => flags.replace(' [S]', '[=S]') });
  const settings = parseClientCommand(command, withLineCount(command, withWaitTime(argv)), io);
  if (typeof settings === 'number') return settings;
  const { log } = settings;

  const { lines, bytes, from, wait, F, output, exitStatus } = command.opts<Options>();
  const urls = [...new Set(command.args)];
  if (output !== undefined && urls.length > 1) {
    return refuseUsage(command, '--output needs exactly one URL', io);
  }
  // The number of seconds was given after a space.
  const seconds = wait === undefined ? undefined : urls.find((url) => /^\d+$/.test(url));
  if (seconds !== undefined) {
    return refuseUsage(command, `${seconds} is no URL: the time to wait is given as --wait=${seconds}`, io);
  }
  let servers: readonly Server[];
  try {
    servers = urls.map((url) => serverAt(url, settings));
  } catch (error) {
    return refuseUsage(command, messageOf(error), io);
  }
  if (settings.hasToken && new Set(servers.map(({ url }) => originOf(new URL(url)))).size > 1) {
    return refuseUsage(
      command,
      'a token is for one server, and the URLs name several: note one for each in the credentials file, or use -H',
      io,
    );
  }
  for (const { url } of servers) {
    const mistake = mistakeIn(url);
    if (mistake !== undefined) return refuseUsage(command, mistake, io);
  }
  return {
    servers,
    start: lines ?? bytes ?? from ?? {},
    waitSeconds: wait,
    again: F === true,
    file: output,
    passesStatus: exitStatus === true,
    log,
  };
}

/** Gives a bare `--wait` its value, so that it does not take the URL for one. */
function withWaitTime(argv: readonly string[]): string[] {
  const end = argv.indexOf('--');
  return argv.map((argument, i) => {
    const isBare = /^--?wait$/.test(argument) && (end === -1 || i < end);
    return isBare ? `--wait=${DEFAULT_WAIT_SECONDS}` : argument;
  });
}

/** Turns `-20`, unless it is the value of an option, into `--lines=20`, as in tail. */
function withLineCount(command: Command, argv: readonly string[]): string[] {
  const end = argv.indexOf('--');
  const takesValue = (argument = '') =>
    command.options.some(
      ({ required, short, long }) => required && [short, long, long?.slice(1)].includes(argument),
    );
  return argv.map((argument, i) => {
    const isCount = /^-\d+$/.test(argument) && !takesValue(argv[i - 1]) && (end === -1 || i < end);
    return isCount ? `--lines=${argument.slice(1)}` : argument;
  });
}

/** What is wrong with a valid URL that cannot be followed. */
function mistakeIn(url: string): string | undefined {
  if (isDirectoryUrl(url)) return `${url} is a directory: give the URL of a file in it`;
  return new URL(url).pathname.includes('*') ? `${url} is a pattern: give the URL of each file` : undefined;
}

function parseLines(text: string): FollowStart {
  // As tail counts: the first line is +1, and +0 is the same.
  if (text.startsWith('+')) return { from: 0, skipLines: Math.max(0, wholeNumber(text, /^\+\d+$/) - 1) };
  return { lines: wholeNumber(text, /^\d+$/) };
}

function parseBytes(text: string): FollowStart {
  // As tail counts: the first byte is +1, and +0 is the same.
  if (text.startsWith('+')) return { from: Math.max(0, wholeNumber(text, /^\+\d+$/) - 1) };
  const bytes = wholeNumber(text, /^\d+$/);
  return bytes === 0 ? { lines: 0 } : { from: -bytes };
}

function parseFrom(text: string): FollowStart {
  return { from: wholeNumber(text, /^-?\d+$/) };
}

function wholeNumber(text: string, form: RegExp): number {
  const number = Number(text);
  const isInForm = form.test(text);
  if (!isInForm && /^-\d+$/.test(text))
    throw new InvalidArgumentError('It must be a whole number, not negative.');
  if (!isInForm || !Number.isSafeInteger(number))
    throw new InvalidArgumentError('It must be a whole number.');
  // There is no -0.
  return number === 0 ? 0 : number;
}

const TEXTS = {
  name: 'httpfstream-follow',
  usage:
    '[-v] [-H HEADER]... [--token TOKEN | --token-file FILE] [-n LINES | -c BYTES | --from N] [-F | [--wait[=S]] [--exit-status]] [-o FILE] URL...',
  header: 'send a header to the server, as "Name: value"; may come several times',
  description:
    'Writes a resource on an httpfstream server to standard output: what is there, then what comes.',
  help: `
Several resources are followed at the same time, each piece under a header that names its URL, as tail does.

With -o the bytes in FILE are the first ones of the resource, be it one that is not there yet; it is an error if that
is shorter, or if the first or last 64 KiB of FILE are others there. With -F, too, it then ends when the resource is
cut, deleted or made anew, so that FILE never mixes two.

With -F, a file that was renamed, replaced or deleted is read to its end before the new one. What is lost is told.

Exit codes: 0 the stream ended, or standard output was closed; 1 failure; 2 wrong usage; 3 the stream was interrupted;
4 it was deleted, made anew, is shorter than what was read, or FILE is not its beginning; 5 the connection was lost for
good; 130 Ctrl-C, 143 SIGTERM, 129 SIGHUP. With several URLs the largest. With --exit-status, in place of 0: the status of
the command that httpfstream-append ran, or 125 if there is none.

Examples:
  httpfstream-follow http://localhost:8080/foo.txt
  httpfstream-follow -n 20 http://localhost:8080/builds/42.log | grep --line-buffered error
  httpfstream-follow --exit-status http://localhost:8080/builds/42.log && echo built
  httpfstream-follow -F http://localhost:8080/a.log http://localhost:8080/b.log
  httpfstream-follow -o big.iso http://localhost:8080/images/big.iso`,
};
