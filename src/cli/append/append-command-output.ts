import { finished } from 'node:stream/promises';
import { EXIT_FAILURE } from '../client-command.ts';
import { ignoringHangUp } from '../io/hang-up.ts';
import { type CommandIo, exitCodeOfSignal, messageOf } from '../io/io.ts';
import { AppendProgress, type ProgressTerminal } from '../progress.ts';
import { type AppendArguments, type CommandRequest, sourceName } from './append-arguments.ts';
import { PtyCommand, type TerminalSize } from './pty-command.ts';
import { PipedCommand, type RunningCommand } from './running-command.ts';
import { Transfer } from './transfer.ts';

const EXIT_CANNOT_RUN = 126;
const EXIT_NOT_FOUND = 127;

/** Size of the pseudo-terminal when this process has no terminal. */
const DEFAULT_SIZE: TerminalSize = { columns: 80, rows: 24 };

/**
 * Runs a command and appends its output. The command runs to its end even if the
 * append fails.
 *
 * @param terminal to show progress on
 * @returns the exit code
 */
export async function appendCommandOutput(
  request: CommandRequest,
  { url, headers, contentType, tee, stallTimeoutMs, log }: AppendArguments,
  io: CommandIo,
  terminal: ProgressTerminal | undefined,
): Promise<number> {
  const name = sourceName(request);
  let command: RunningCommand;
  try {
    const commandLine = io.ignoresHangUp ? ignoringHangUp(request.argv) : request.argv;
    command = request.pty
      ? await PtyCommand.start(commandLine, terminalSizeOf(io))
      : await PipedCommand.start(commandLine, request.lingerMs);
  } catch (error) {
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    log.write(`failed to run ${name}: ${isMissing ? 'command not found' : messageOf(error)}`);
    return isMissing ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN;
  }

  log.verbose(`appending from ${name} to ${url}`);
  const progress = terminal && new AppendProgress(terminal, { size: undefined, position: 0 });
  const transfer = new Transfer(command.output, url, {
    headers,
    expect: undefined,
    contentType: () => contentType,
    wantedType: contentType,
    stallTimeoutMs,
    tee: tee ? io.stdout : undefined,
    progress,
    hintAtResumeFor: undefined,
    status: () => command.exit,
    log,
  });
  const appended = transfer.done().then(
    () => true,
    (error) => {
      progress?.stop();
      log.write(`failed to append from ${name} to ${url}: ${messageOf(error)}`);
      return false;
    },
  );
  const ended = finished(command.output, { cleanup: true }).catch(() => {});
  const everything = Promise.all([command.exit, appended, ended]);

  let restoreSignals = () => {};
  const givenUp = new Promise<NodeJS.Signals>((resolve) => {
    let isStopping = false;
    restoreSignals = io.onStopSignal((signal) => {
      transfer.hurry();
      // A terminal that both share has sent SIGINT to the command already.
      if (signal !== 'SIGINT' || !command.sharesTerminal) command.kill(signal);
      if (isStopping) {
        transfer.destroy(new Error('interrupted'));
        command.abandon();
        resolve(signal);
      } else if (command.hasExited) {
        // Only processes that it has left behind keep the pipe open.
        command.endOutput();
      }
      if (!isStopping) void command.exit.then(() => transfer.limitWait());
      isStopping = true;
    });
  });
  try {
    const outcome = await Promise.race([everything, givenUp]);
    if (typeof outcome === 'string') return exitCodeOfSignal(outcome);
    const [exitCode, isAppended] = outcome;
    if (isAppended) {
      progress?.succeed();
      log.verbose(`finished appending from ${name} to ${url}`);
    }
    const isDone = isAppended && !transfer.hasFailedCopy;
    return exitCode === 0 && !isDone ? EXIT_FAILURE : exitCode;
  } finally {
    restoreSignals();
    progress?.stop();
  }
}

/** The size of this process's terminal, if it has one. */
function terminalSizeOf({ stdout, stderr }: CommandIo): TerminalSize {
  const [{ columns, rows } = {}] = [stdout, stderr].filter((stream) => stream.columns && stream.rows);
  return { columns: columns ?? DEFAULT_SIZE.columns, rows: rows ?? DEFAULT_SIZE.rows };
}
