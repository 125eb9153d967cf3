import { setMaxListeners } from 'node:events';
import { EXIT_FAILURE } from '../client-command.ts';
import { type CommandIo, exitCodeOfSignal, messageOf } from '../io/io.ts';
import { watchReader } from '../io/reader-watch.ts';
import { FollowProgress, progressTerminal } from '../progress.ts';
import { FileBeginning } from './file-beginning.ts';
import { followAgain } from './follow-again.ts';
import { type FollowArguments, parseFollowArguments } from './follow-arguments.ts';
import { EXIT_STATUS_UNKNOWN, followOnce } from './follow-once.ts';
import { FileOutput, type FollowOutput, ProgressOutput, StandardOutput } from './follow-output.ts';

/** Why the command ends before the streams do. */
class FollowingStopped extends Error {
  readonly exitCode: number;

  constructor(message: string, exitCode: number, options?: ErrorOptions) {
    super(message, options);
    this.exitCode = exitCode;
  }
}

/**
 * Runs `httpfstream-follow`: writes resources to standard output or to a file,
 * until their streams end.
 *
 * @param argv arguments without the program's name
 * @returns the exit code: 0 when the stream ended or standard output was closed, 128 + n
 *   after signal n, 3 when it was interrupted, 4 when the file is gone, 5 when the connection is, else 1;
 *   with `--exit-status` that of the command that wrote the stream, 125 when it is not known
 */
export async function runFollow(argv: readonly string[], io: CommandIo): Promise<number> {
  const args = parseFollowArguments(argv, io);
  if (typeof args === 'number') return args;
  const stop = new AbortController();
  // Each resource adds a listener: that is not a leak.
  setMaxListeners(0, stop.signal);
  // Restored at the first signal, so that a second one ends the process at once.
  const restoreSignals = io.onStopSignal((signal) => {
    restoreSignals();
    stop.abort(new FollowingStopped('interrupted', exitCodeOfSignal(signal)));
  });
  try {
    const { file } = args;
    if (file === undefined) return await followToStandardOutput(args, io, stop);
    return await followToFile(file, args, io, stop.signal);
  } catch (error) {
    if (!(error instanceof FollowingStopped)) throw error;
    return error.exitCode;
  } finally {
    restoreSignals();
  }
}

async function followToStandardOutput(
  args: FollowArguments,
  { stdout }: CommandIo,
  stop: AbortController,
): Promise<number> {
  const output = new StandardOutput(stdout, { hasHeaders: args.servers.length > 1, signal: stop.signal });
  const exitCode = args.passesStatus ? EXIT_STATUS_UNKNOWN : 0;
  const end = () => stop.abort(new FollowingStopped('nobody reads standard output', exitCode));
  const onError = (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') return end();
    args.log.write(`cannot write to standard output: ${messageOf(error)}`);
    stop.abort(new FollowingStopped('standard output failed', EXIT_FAILURE, { cause: error }));
  };
  stdout.once('error', onError);
  const endWatching = watchReader(stdout.fd, end);
  try {
    return await followAll(args, output, stop.signal);
  } finally {
    endWatching();
    stdout.off('error', onError);
  }
}

async function followToFile(
  path: string,
  args: FollowArguments,
  io: CommandIo,
  signal: AbortSignal,
): Promise<number> {
  let output: FileOutput;
  try {
    output = await FileOutput.open(path);
  } catch (error) {
    args.log.write(`cannot write to ${path}: ${messageOf(error)}`);
    return EXIT_FAILURE;
  }
  const terminal = await progressTerminal(io);
  const progress = terminal && new FollowProgress(terminal, output.size);
  try {
    const { size } = output;
    const beginning = size > 0 ? new FileBeginning(path, size) : undefined;
    const shown = progress ? new ProgressOutput(output, progress) : output;
    const exitCode = await followAll({ ...args, start: { from: size } }, shown, signal, beginning);
    if (exitCode === 0) progress?.succeed();
    return exitCode;
  } finally {
    progress?.stop();
    await output.close();
  }
}

/** Returns the largest of the exit codes. */
async function followAll(
  { servers, start, waitSeconds, again, file, passesStatus, log }: FollowArguments,
  output: FollowOutput,
  signal: AbortSignal,
  beginning?: FileBeginning,
): Promise<number> {
  const follow = again ? followAgain : followOnce;
  const wait = waitSeconds === undefined ? {} : { wait: waitSeconds };
  const options = {
    output,
    beginning,
    signal,
    file,
    passesStatus,
    log,
    start: { ...start, ...wait },
  };
  const following = servers.map(({ url, ...credentials }) => follow(url, { ...options, ...credentials }));
  return Math.max(...(await Promise.all(following)));
}
