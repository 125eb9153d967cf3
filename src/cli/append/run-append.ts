import { Readable } from 'node:stream';
import { EXIT_FAILURE } from '../client-command.ts';
import { type CommandIo, exitCodeOfSignal, messageOf } from '../io/io.ts';
import { loadProgress } from '../load-progress.ts';
import { EXIT_USAGE, WrongUsageError } from '../parse-arguments.ts';
import type { AppendProgress, AppendProgressOptions } from '../progress.ts';
import { resourceSize } from '../resource-size.ts';
import { namedTarget } from '../target-name.ts';
import {
  type AppendCommand,
  nameOfSource,
  parseAppendCommand,
  type SourceRequest,
} from './append-command.ts';
import { appendCommandOutput } from './append-command-output.ts';
import { type AppendSource, stdinSource } from './append-source.ts';
import { fileSource } from './file-source.ts';
import { remoteSource } from './remote-source.ts';
import { Transfer } from './transfer.ts';

/**
 * Runs `httpfstream-append`: appends standard input, files, what a URL answers
 * or what a command writes to the resource at a URL.
 *
 * @param argv arguments without the program's name
 * @returns the exit code: 0 when everything was appended, 128 + n after signal n, the command's, 2 for
 *   wrong usage, else 1
 */
export async function runAppend(argv: readonly string[], io: CommandIo): Promise<number> {
  const command = parseAppendCommand(argv, io);
  if (typeof command === 'number') return command;
  const { source } = command;
  const name = nameOfSource(source);
  if (source.kind === 'command') {
    const progressOf = await appendProgress(command, io);
    const startProgress = () => progressOf({ size: undefined, position: 0 });
    return appendCommandOutput(source, { ...command, name, startProgress }, io);
  }
  return appendSource(source, { ...command, name }, io);
}

async function appendSource(
  request: Exclude<SourceRequest, { kind: 'command' }>,
  command: AppendCommand & { name: string },
  io: CommandIo,
): Promise<number> {
  const { name, headers, resume, stallTimeoutMs, log, logVerbose } = command;
  let { url } = command;
  let stopSignal: NodeJS.Signals | undefined;
  let source: AppendSource | undefined;
  let progress: AppendProgress | undefined;
  let restoreSignals = () => {};
  try {
    const progressOf = await appendProgress(command, io);
    source = await sourceOf(request, command, io);
    const { size, canSeek, mayEndAnywhere } = source;
    url = namedTarget(url, { hasName: request.kind !== 'stdin', fileName: source.fileName });
    const position = resume ? await resumePosition(url, headers, size) : 0;
    const isWhole = resume && position === size;
    if (isWhole) logVerbose(`nothing left to append from ${name} to ${url}: all ${size} bytes are there`);
    else logVerbose(`appending from ${name} to ${url}${resume ? `, from byte ${position} on` : ''}`);
    // With nothing left there still is the end to be told: who sent the last byte may have been lost before that.
    const readable = isWhole ? Readable.from([]) : await source.open(position);
    progress = progressOf({ size, position });
    const transfer = new Transfer(readable, url, {
      headers,
      expect: resume ? position : undefined,
      stallTimeoutMs,
      tee: command.tee ? io.stdout : undefined,
      progress,
      // What can only be read as it comes is meant to be added.
      mayHaveMeantToResume: resume || !canSeek ? undefined : name,
      log,
      logVerbose,
    });
    restoreSignals = io.onStopSignal((signal) => {
      transfer.hurry();
      // The second time it does not wait for the server any more.
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
    if (!isWhole) logVerbose(`finished appending from ${name} to ${url}`);
    if (stopSignal !== undefined) return exitCodeOfSignal(stopSignal);
    return transfer.hasFailedCopy ? EXIT_FAILURE : 0;
  } catch (error) {
    progress?.stop();
    log(`failed to append from ${name} to ${url}: ${messageOf(error)}`);
    if (stopSignal !== undefined) return exitCodeOfSignal(stopSignal);
    return error instanceof WrongUsageError ? EXIT_USAGE : EXIT_FAILURE;
  } finally {
    restoreSignals();
    source?.close();
  }
}

function sourceOf(
  request: Exclude<SourceRequest, { kind: 'command' }>,
  { resume, logVerbose }: AppendCommand,
  io: CommandIo,
): Promise<AppendSource> | AppendSource {
  switch (request.kind) {
    case 'stdin':
      return stdinSource(io.stdin);
    case 'files':
      return fileSource(request.paths, { mustSeek: resume, stdin: () => io.stdin });
    case 'url':
      return remoteSource(request.url, request.headers, logVerbose);
  }
}

/** How much of a source the resource has already. */
async function resumePosition(
  url: string,
  headers: AppendCommand['headers'],
  size: number | undefined,
): Promise<number> {
  const position = (await resourceSize(url, headers)) ?? 0;
  if (size !== undefined && position > size) {
    throw new Error(`the resource has ${position} bytes already, and the source only ${size}`);
  }
  return position;
}

/** Makes ready to show progress on a terminal, unless what is appended, or typed, appears there. */
async function appendProgress(
  { tee, source }: AppendCommand,
  io: CommandIo,
): Promise<(options: AppendProgressOptions) => AppendProgress | undefined> {
  const isTyped = source.kind === 'stdin' && io.stdin.isTTY;
  const isInTheWay = isTyped || (tee && io.stdout.isTTY);
  const loaded = isInTheWay ? undefined : await loadProgress(io.stderr);
  return (options) => loaded && new loaded.AppendProgress(io.stderr, options);
}
