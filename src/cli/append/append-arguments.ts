import { Option } from 'commander';
import { FORM_TYPE, isContentType } from '../../wire/content-type.ts';
import {
  type ClientSettings,
  clientCommand,
  isDirectoryUrl,
  parseClientCommand,
  refuseUsage,
  type Server,
  serverAt,
} from '../client-command.ts';
import { parseOtherHeaders } from '../header-lines.ts';
import { type CommandIo, messageOf } from '../io/io.ts';
import { positiveSecondsOption, secondsOption } from '../parse-arguments.ts';
import type { RemoteRequest } from './remote-source.ts';
import { isFromStdin, type RequestData } from './request-data.ts';

/** How long processes that a command leaves behind may still write. */
const DEFAULT_LINGER_SECONDS = 2;

const METHOD = /^[-!#$%&'*+.^_`|~\dA-Z]+$/;

/** Methods that open tunnels, or whose answers repeat the request. */
const NO_METHODS: readonly string[] = ['CONNECT', 'TRACE', 'TRACK'];

/** What is to be appended. */
export type SourceRequest =
  | { kind: 'stdin' }
  | { kind: 'files'; paths: readonly string[] }
  | UrlRequest
  | CommandRequest;

/** A request to be made, and its answer to be appended. */
export interface UrlRequest extends Omit<RemoteRequest, 'body'> {
  kind: 'url';
  /** What its body is made of; undefined for none. */
  data: readonly RequestData[] | undefined;
  /** Whether it is made only by who is the first to append, and the others read. */
  once: boolean;
}

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
  /** Content type of what is appended; undefined for that of an answer, if it has one. */
  contentType: string | undefined;
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
  request?: string | undefined;
  once?: boolean | undefined;
  linger?: number | undefined;
  pty?: true | undefined;
}

interface Options extends SourceOptions {
  header: readonly string[];
  contentType?: string;
  tee?: true;
  resume?: true;
  stallTimeout: number;
}

/** Parses the arguments of `httpfstream-append`. Returns the exit code if the command ends with that. */
export function parseAppendArguments(argv: readonly string[], io: CommandIo): AppendArguments | number {
  const end = argv.indexOf('--');
  const commandLine = end === -1 ? undefined : argv.slice(end + 1);
  const data: RequestData[] = [];
  const command = clientCommand(TEXTS)
    .argument('<URL>', 'http or https URL of the resource')
    .addOption(
      new Option('--from-file <FILE>', 'append a file; may come several times, for one after the other')
        .argParser((path, paths: string[] = []) => [...paths, path])
        .conflicts('fromUrl'),
    )
    .option('--from-url <URL>', 'append what another URL answers, to GET unless -X or -d says something else')
    .addOption(
      new Option('-X, --request <METHOD>', 'ask --from-url by this method').argParser((method) =>
        method.toUpperCase(),
      ),
    )
    .addOption(
      new Option(
        '-d, --data <DATA>',
        'send it to --from-url, by POST; @FILE: what is in FILE, without line ends, @-: on standard input; several are joined by "&"',
      ).argParser((text) => data.push({ text, isBinary: false })),
    )
    .addOption(
      new Option('--data-binary <DATA>', 'the same, but FILE is sent as it is').argParser((text) =>
        data.push({ text, isBinary: true }),
      ),
    )
    .option(
      '--once',
      'ask --from-url only if there is nothing at URL yet, and nobody appends; otherwise read what is there, to its end',
    )
    .option(
      '--allow-unframed',
      'take what --from-url brings for whole when only the end of the connection says that it is over',
    )
    .option('--resume', 'go on where the resource ends, with a file or URL of which a part was appended')
    .option(
      '--content-type <TYPE>',
      'what is appended is of this type; of --from-url, in place of what the answer says',
    )
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
  const hasOwnRequest = () => command.opts<Options>().request !== undefined || data.length > 0;
  const settings = parseClientCommand(command, end === -1 ? argv : argv.slice(0, end), io, hasOwnRequest);
  if (typeof settings === 'number') return settings;

  const options = command.opts<Options>();
  const { contentType, tee, resume, fromFile, fromUrl, stallTimeout, linger, pty } = options;
  const [typed] = command.args as [string];
  const refuse = (message: string) => refuseUsage(command, message, io);
  if (commandLine !== undefined) {
    if (commandLine.length === 0) return refuse('a command must follow --');
    if (fromFile || fromUrl) return refuse('a command cannot be used with --from-file or --from-url');
    if (pty && linger !== undefined)
      return refuse('--linger means nothing with --pty: who is left behind is hung up on');
  } else if (linger !== undefined) return refuse('--linger needs a command after --');
  else if (pty) return refuse('--pty needs a command after --');
  if (contentType !== undefined && !isContentType(contentType)) {
    return refuse(`${JSON.stringify(contentType)} is not a content type, such as text/plain`);
  }
  const mistake = mistakeInRequest(options, data);
  if (mistake !== undefined) return refuse(mistake);
  const own = hasOwnRequest() ? parseOtherHeaders(options.header) : { headers: {} };
  if ('mistake' in own) return refuse(own.mistake);
  let target: Server;
  let source: SourceRequest;
  try {
    target = serverAt(typed, settings.headers);
    source = sourceRequestOf({ ...options, commandLine, data, headers: own.headers });
  } catch (error) {
    return refuse(messageOf(error));
  }
  if (resume && (source.kind === 'stdin' || source.kind === 'command')) {
    return refuse('--resume needs --from-file or --from-url');
  }
  if ((source.kind === 'stdin' || source.kind === 'command') && isDirectoryUrl(target.url)) {
    return refuse('the URL ends in /, and there is no name to add');
  }
  if (options.once && isDirectoryUrl(target.url)) {
    return refuse('the URL ends in /: with --once the name must be there before the answer is');
  }
  if (source.kind === 'files' && source.paths.length > 1 && isDirectoryUrl(target.url)) {
    return refuse('with several files, the URL must not end in /');
  }
  return {
    ...settings,
    ...target,
    source,
    contentType,
    tee: tee === true,
    resume: resume === true,
    stallTimeoutMs: Math.round(stallTimeout * 1000),
  };
}

/** What is wrong with the request that `--from-url` is to make. */
function mistakeInRequest(
  { fromUrl, resume, ...options }: Options,
  data: readonly RequestData[],
): string | undefined {
  const { request, once, allowUnframed } = options;
  const hasData = data.length > 0;
  if (fromUrl === undefined) {
    if (request !== undefined || hasData) return '-X, -d and --data-binary need --from-url';
    if (once) return '--once needs --from-url';
    return allowUnframed ? '--allow-unframed needs --from-url' : undefined;
  }
  if (request !== undefined && (!METHOD.test(request) || NO_METHODS.includes(request)))
    return `the method ${request} cannot be used`;
  if (request === 'HEAD') return 'the answer to HEAD has nothing to append';
  if (request === 'GET' && hasData) return 'GET sends no data: leave out -d, or -X';
  if (data.filter(isFromStdin).length > 1) return 'standard input can be sent once';
  const isGet = !hasData && (request === undefined || request === 'GET');
  if (resume && !isGet) return '--resume asks for the rest by a range, which only GET has';
  return resume && once ? '--once makes what is not there, and --resume goes on with what is' : undefined;
}

interface RequestParts extends SourceOptions {
  commandLine: readonly string[] | undefined;
  data: readonly RequestData[];
  /** What `-H` says, if it is for `--from-url`. */
  headers: Readonly<Record<string, string>>;
}

function sourceRequestOf(parts: RequestParts): SourceRequest {
  const { commandLine, fromFile, fromUrl, linger = DEFAULT_LINGER_SECONDS, pty } = parts;
  if (commandLine) {
    return { kind: 'command', argv: commandLine, lingerMs: linger * 1000, pty: pty === true };
  }
  if (fromFile) return { kind: 'files', paths: fromFile };
  return fromUrl === undefined ? { kind: 'stdin' } : urlRequestOf(fromUrl, parts);
}

function urlRequestOf(
  url: string,
  { allowUnframed = false, once = false, request, data, headers }: RequestParts,
): UrlRequest {
  const hasData = data.length > 0;
  return {
    kind: 'url',
    ...serverAt(url, { ...(hasData && { 'content-type': FORM_TYPE }), ...headers }),
    method: request ?? (hasData ? 'POST' : 'GET'),
    data: hasData ? data : undefined,
    // As long as it takes to make the answer to a question.
    ...((request !== undefined || hasData) && { answerTimeoutMs: 0 }),
    allowUnframed,
    once,
  };
}

const TEXTS = {
  name: 'httpfstream-append',
  usage:
    '[-v] [--tee] [--resume] [-H HEADER]... [--token TOKEN] [--from-file FILE]... [--from-url URL] [-X METHOD] [-d DATA]... [--data-binary DATA]... [--once] [--allow-unframed] [--content-type TYPE] [--stall-timeout S] [--linger S] [--pty] URL [-- COMMAND ARGS...]',
  header:
    'send a header to the server, or with -X, -d or --data-binary to --from-url, as "Name: value"; may come several times',
  description: `Appends to a resource on an httpfstream server, as it comes: standard input, files, what another URL answers, or what a command writes to its standard output and standard error.`,
  help: `
If URL ends in "/", the name of the file (or of what --from-url brings) is added. --resume compares sizes, not bytes.
A FILE may be a pipe, as <(COMMAND), or /dev/stdin: it is read as it comes, and there is no --resume then.

With -X, -d or --data-binary, which are those of curl, -H is for --from-url, and --token for the server. No header of -H
but those that say what is asked for goes along with a redirect to elsewhere. --once makes the request for the first
who comes, and keeps its answer while it comes: who comes later, or again, does not ask, but reads (--tee shows it), and
exits with 0 when the answer is whole. A request of which nothing has come is made again.

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
  httpfstream-append --from-url https://example.com/data.csv http://localhost:8080/mirror/
  httpfstream-append --once --tee --from-url https://models.example.com/v1/chat -H 'Content-Type: application/json' \\
    -d @question.json http://localhost:8080/answers/42`,
};
