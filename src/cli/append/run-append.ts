import { Readable } from 'node:stream';
import { InvalidUrlError, UnframedAnswerError } from '../../wire/errors.ts';
import { EXIT_FAILURE, isDirectoryUrl } from '../client-command.ts';
import { type CommandIo, exitCodeOfSignal, messageOf } from '../io/io.ts';
import { EXIT_USAGE, WrongUsageError } from '../parse-arguments.ts';
import { AppendProgress, type ProgressTerminal, progressTerminal } from '../progress.ts';
import {
  type AppendArguments,
  type CommandRequest,
  parseAppendArguments,
  type SourceRequest,
  sourceName,
  type UrlRequest,
} from './append-arguments.ts';
import { type ByteSource, fileSource, stdinSource } from './local-source.ts';
import { requestBody } from './request-data.ts';
import { NotTheFirstError, Transfer } from './transfer.ts';

/**
 * Runs `httpfstream-append`: appends standard input, files, what a URL answers
 * or the output of a command to the resource at a URL. What only some of these need is
 * loaded by them: modules take most of the time of a command that has little to do.
 *
 * @param argv arguments without the program's name
 * @returns the exit code: 0 when everything was appended, 128 + n after signal n, the command's, 2 for
 *   wrong usage, else 1
 */
export async function runAppend(argv: readonly string[], io: CommandIo): Promise<number> {
  const args = parseAppendArguments(argv, io);
  if (typeof args === 'number') return args;
  const { source } = args;
  const terminal = isInTheWay(args, io) ? undefined : await progressTerminal(io);
  if (source.kind !== 'command') return appendSource(source, args, io, terminal);
  const { appendCommandOutput } = await import('./append-command-output.ts');
  return appendCommandOutput(source, args, io, terminal);
}

/** Whether progress would disturb what is typed, or appended, on the same terminal. */
function isInTheWay({ tee, source }: AppendArguments, io: CommandIo): boolean {
  // Standard input is accessed only if it is the source: Node reads ahead from it.
  return (source.kind === 'stdin' && io.stdin.isTTY === true) || (tee && io.stdout.isTTY === true);
}

async function appendSource(
  request: Exclude<SourceRequest, CommandRequest>,
  args: AppendArguments,
  io: CommandIo,
  terminal: ProgressTerminal | undefined,
): Promise<number> {
  const { headers, contentType, tee, resume, stallTimeoutMs, log } = args;
  const name = sourceName(request);
  let { url } = args;
  let stopSignal: NodeJS.Signals | undefined;
  let source: ByteSource | undefined;
  let progress: AppendProgress | undefined;
  let restoreSignals = () => {};
  const isOnce = request.kind === 'url' && request.once;
  try {
    const bytes = await byteSourceOf(request, args, io);
    source = bytes;
    const { size, canSeek, mayEndAnywhere } = bytes;
    if (request.kind !== 'stdin') url = namedTarget(url, bytes.fileName);
    const position = resume ? await resumePosition(url, headers, size) : 0;
    const isComplete = resume && position === size;
    if (isComplete) log.verbose(`nothing left to append from ${name} to ${url}: all ${size} bytes are there`);
    else log.verbose(`appending from ${name} to ${url}${resume ? `, from byte ${position} on` : ''}`);
    // An append of nothing still tells the end, which the one that sent the last byte may have failed to do.
    const readable = isComplete ? Readable.from([]) : await bytes.open(position);
    progress = terminal && new AppendProgress(terminal, { size, position });
    const transfer = new Transfer(readable, url, {
      headers,
      expect: resume || isOnce ? position : undefined,
      contentType: () => contentType ?? bytes.contentType,
      wantedType: contentType,
      claimsFirst: isOnce,
      stallTimeoutMs,
      tee: tee ? io.stdout : undefined,
      progress,
      // A source that cannot seek cannot be resumed.
      hintAtResumeFor: resume || !canSeek ? undefined : name,
      log,
    });
    restoreSignals = io.onStopSignal((signal) => {
      transfer.hurry();
      // A second signal does not wait for the server.
      if (stopSignal !== undefined || !mayEndAnywhere) transfer.destroy(new Error('interrupted'));
      else transfer.end();
      stopSignal = signal;
    });
    try {
      await transfer.done();
    } finally {
      readable.destroy();
    }
    progress?.succeed();
    if (!isComplete) log.verbose(`finished appending from ${name} to ${url}`);
    if (stopSignal !== undefined) return exitCodeOfSignal(stopSignal);
    return transfer.hasFailedCopy ? EXIT_FAILURE : 0;
  } catch (error) {
    progress?.stop();
    if (error instanceof NotTheFirstError) {
      const { readInstead } = await import('./read-instead.ts');
      restoreSignals();
      return stopSignal === undefined ? await readInstead(args, io) : exitCodeOfSignal(stopSignal);
    }
    const hint = error instanceof UnframedAnswerError ? ' (--allow-unframed takes them for that)' : '';
    log.write(`failed to append from ${name} to ${url}: ${messageOf(error)}${hint}`);
    if (stopSignal !== undefined) return exitCodeOfSignal(stopSignal);
    return error instanceof WrongUsageError ? EXIT_USAGE : EXIT_FAILURE;
  } finally {
    restoreSignals();
    source?.close();
  }
}

function byteSourceOf(
  request: Exclude<SourceRequest, CommandRequest>,
  { resume }: AppendArguments,
  io: CommandIo,
): Promise<ByteSource> | ByteSource {
  switch (request.kind) {
    case 'stdin':
      return stdinSource(io.stdin);
    case 'files':
      return fileSource(request.paths, { mustSeek: resume, stdin: () => io.stdin });
    case 'url':
      return urlSource(request, io);
  }
}

async function urlSource({ data, once, ...request }: UrlRequest, io: CommandIo): Promise<ByteSource> {
  // Before anything is claimed: a file may be missing.
  const body = data && (await requestBody(data, () => io.stdin));
  const { laterSource, remoteSource } = await import('./remote-source.ts');
  return once ? laterSource({ ...request, body }) : remoteSource({ ...request, body });
}

/**
 * The URL to append to: the one that was typed, with the name of the source added if it ends in `/`.
 *
 * @throws {InvalidUrlError} when that name is not known
 */
export function namedTarget(url: string, fileName: string | undefined): string {
  if (!isDirectoryUrl(url)) return url;
  if (fileName === undefined) throw new InvalidUrlError('there is no name to add: add one to the URL');
  const target = new URL(url);
  target.pathname += encodeURIComponent(fileName);
  return target.href;
}

/** How many bytes of the source the resource has already. */
async function resumePosition(
  url: string,
  headers: AppendArguments['headers'],
  size: number | undefined,
): Promise<number> {
  const { resourceSize } = await import('../resource-size.ts');
  const position = (await resourceSize(url, headers)) ?? 0;
  if (size !== undefined && position > size) {
    throw new Error(`the resource has ${position} bytes already, and the source only ${size}`);
  }
  return position;
}
