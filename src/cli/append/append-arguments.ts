import { Option } from 'commander';
import {
  type ClientSettings,
  clientCommand,
  isDirectoryUrl,
  parseClientCommand,
  refuseUsage,
  type Server,
  serverAt,
} from '../client-command.ts';
import { type CommandIo, messageOf } from '../io/io.ts';
import { positiveSecondsOption, secondsOption } from '../parse-arguments.ts';
import type { RemoteRequest } from './remote-source.ts';

/** How long processes that a command leaves behind may still write. */
const DEFAULT_LINGER_SECONDS = 2;

/** What is to be appended. */
export type SourceRequest =
  | { kind: 'stdin' }
  | { kind: 'files'; paths: readonly string[] }
  | ({ kind: 'url' } & RemoteRequest)
  | CommandRequest;

/** A command to be run. */
export interface CommandRequest {
  kind: 'command';
  argv: readonly string[];
  /** How long after its exit its output is still read, from processes that it has left behind, in milliseconds. */
  lingerMs: number;
  /** Whether it runs on a pseudo-terminal. */
  pty: boolean;
}

/** What messages call what is appended. */
export function sourceName(source: SourceRequest): string {
  switch (source.kind) {
    case 'stdin':
      return 'stdin';
    case 'files':
      return source.paths.join(', ');
    case 'url':
      return source.url;
    case 'command':
      return `\`${source.argv.join(' ')}\``;
  }
}

/** The arguments of `httpfstream-append`. */
export interface AppendArguments extends ClientSettings {
  /** URL of the resource, as it was typed, without user and password. */
  url: string;
  source: SourceRequest;
  /** Whether to copy what is appended to standard output. */
  tee: boolean;
  /** Whether to append only what the resource does not have yet. */
  resume: boolean;
  /** How long a legacy server may accept none of what it is sent, in milliseconds. */
  stallTimeoutMs: number;
}

interface SourceOptions {
  fromFile?: string[] | undefined;
  fromUrl?: string | undefined;
  allowUnframed?: boolean | undefined;
  linger?: number | undefined;
  pty?: true | undefined;
}

interface Options extends SourceOptions {
  tee?: true;
  resume?: true;
  stallTimeout: number;
}

/** Parses the arguments of `httpfstream-append`. Returns the exit code if the command ends with that. */
export function parseAppendArguments(argv: readonly string[], io: CommandIo): AppendArguments | number {
  const end = argv.indexOf('--');
  const commandLine = end === -1 ? undefined : argv.slice(end + 1);
  const command = clientCommand(TEXTS)
    .argument('<URL>', 'http or https URL of the resource')
    .addOption(
      new Option('--from-file <FILE>', 'append a file; may come several times, for one after the other')
        .argParser((path, paths: string[] = []) => [...paths, path])
        .conflicts('fromUrl'),
    )
    .option('--from-url <URL>', 'append what GET of another URL answers')
    .option(
      '--allow-unframed',
      'take what --from-url brings for whole when only the end of the connection says that it is over',
    )
    .option('--resume', 'go on where the resource ends, with a file or URL of which a part was appended')
    .option('--tee', 'write what is appended to standard output, too')
    .addOption(
      new Option('--stall-timeout <SECONDS>', "fail when the original's server has taken nothing for so long")
        .argParser(positiveSecondsOption)
        .default(30),
    )
    .addOption(
      new Option(
        '--linger <SECONDS>',
        'how long those whom a command leaves behind may still write (default: 2)',
      ).argParser(secondsOption),
    )
    .option(
      '--pty',
      'run the command on a terminal of its own, so that it does not buffer, and colours stay',
    );
  const settings = parseClientCommand(command, end === -1 ? argv : argv.slice(0, end), io);
  if (typeof settings === 'number') return settings;

  const { tee, resume, fromFile, fromUrl, allowUnframed, stallTimeout, linger, pty } =
    command.opts<Options>();
  const [typed] = command.args as [string];
  const refuse = (message: string) => refuseUsage(command, message, io);
  if (commandLine !== undefined) {
    if (commandLine.length === 0) return refuse('a command must follow --');
    if (fromFile || fromUrl) return refuse('a command cannot be used with --from-file or --from-url');
    if (pty && linger !== undefined)
      return refuse('--linger means nothing with --pty: who is left behind is hung up on');
  } else if (linger !== undefined) return refuse('--linger needs a command after --');
  else if (pty) return refuse('--pty needs a command after --');
  if (allowUnframed && fromUrl === undefined) return refuse('--allow-unframed needs --from-url');
  let target: Server;
  let source: SourceRequest;
  try {
    target = serverAt(typed, settings.headers);
    source = sourceRequestOf({ commandLine, fromFile, fromUrl, allowUnframed, linger, pty });
  } catch (error) {
    return refuse(messageOf(error));
  }
  if (resume && (source.kind === 'stdin' || source.kind === 'command')) {
    return refuse('--resume needs --from-file or --from-url');
  }
  if ((source.kind === 'stdin' || source.kind === 'command') && isDirectoryUrl(target.url)) {
    return refuse('the URL ends in /, and there is no name to add');
  }
  if (source.kind === 'files' && source.paths.length > 1 && isDirectoryUrl(target.url)) {
    return refuse('with several files, the URL must not end in /');
  }
  return {
    ...settings,
    ...target,
    source,
    tee: tee === true,
    resume: resume === true,
    stallTimeoutMs: Math.round(stallTimeout * 1000),
  };
}

function sourceRequestOf({
  commandLine,
  fromFile,
  fromUrl,
  allowUnframed = false,
  linger = DEFAULT_LINGER_SECONDS,
  pty,
}: SourceOptions & { commandLine: readonly string[] | undefined }): SourceRequest {
  if (commandLine) {
    return { kind: 'command', argv: commandLine, lingerMs: linger * 1000, pty: pty === true };
  }
  if (fromFile) return { kind: 'files', paths: fromFile };
  if (fromUrl !== undefined) return { kind: 'url', ...serverAt(fromUrl, {}), allowUnframed };
  return { kind: 'stdin' };
}

const TEXTS = {
  name: 'httpfstream-append',
  usage:
    '[-v] [--tee] [--resume] [-H HEADER]... [--token TOKEN] [--from-file FILE]... [--from-url URL] [--allow-unframed] [--stall-timeout S] [--linger S] [--pty] URL [-- COMMAND ARGS...]',
  description: `Appends to a resource on an httpfstream server, as it comes: standard input, files, what another URL answers, or what a command writes to its standard output and standard error.`,
  help: `
If URL ends in "/", the name of the file (or of what --from-url brings) is added. --resume compares sizes, not bytes.
A FILE may be a pipe, as <(COMMAND), or /dev/stdin: it is read as it comes, and there is no --resume then.

A command runs whatever becomes of the append, and its exit code is passed on. When the append fails, that is told,
and the command goes on. It has ended when its own process has: what is in its output then is appended, and what those
whom it has left behind write there within --linger.

Ctrl-C ends an append from standard input cleanly: what was read is sent, and followers see the end. It breaks off
one from a file or URL. A command gets it too, and what it still says is appended. The second Ctrl-C does not wait.
A server that is away then is waited for 10 s, and what it has not acknowledged is told.
SIGTERM and SIGHUP do the same; under nohup, SIGHUP is nothing to an append and its command.

Exit codes: 0 everything was appended; 1 failure; 2 wrong usage; 130 Ctrl-C, 143 SIGTERM, 129 SIGHUP. With a command:
the command's (128 and the signal's number if one killed it, 126 if it cannot be run, 127 if there is none of that
name), or 1 if that is 0 and the append failed.

Examples:
  cat foo.txt | httpfstream-append http://localhost:8080/foo.txt
  httpfstream-append --tee http://localhost:8080/builds/42.log -- make -j4
  httpfstream-append --pty --tee http://localhost:8080/builds/43.log -- npm test
  httpfstream-append --resume --from-file big.iso http://localhost:8080/images/
  httpfstream-append --from-url https://example.com/data.csv http://localhost:8080/mirror/`,
};
