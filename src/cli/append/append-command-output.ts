import { finished } from 'node:stream/promises';
import { EXIT_FAILURE } from '../client-command.ts';
import { ignoringHangUp } from '../io/hang-up.ts';
import { type CommandIo, exitCodeOfSignal, messageOf } from '../io/io.ts';
import type { AppendProgress } from '../progress.ts';
import type { AppendCommand, CommandRequest } from './append-command.ts';
import { PtyCommand, type TerminalSize } from './pty-command.ts';
import { RunningCommand } from './running-command.ts';
import type { StartedCommand } from './started-command.ts';
import { Transfer } from './transfer.ts';

const EXIT_CANNOT_RUN = 126;
const EXIT_NOT_FOUND = 127;

/** Of a terminal that nobody sees. */
const DEFAULT_SIZE: TerminalSize = { columns: 80, rows: 24 };

/** What is needed besides the command line of the command. */
export interface AppendCommandOutputOptions extends AppendCommand {
  /** What messages call the command. */
  name: string;
  /** Begins to show how far it has come. */
  startProgress: () => AppendProgress | undefined;
}

/**
 * Runs a command and appends what it writes. The command runs to its end
 * whatever becomes of the append.
 *
 * @returns the exit code
 */
export async function appendCommandOutput(
  request: CommandRequest,
  { name, url, headers, tee, stallTimeoutMs, log, logVerbose, startProgress }: AppendCommandOutputOptions,
  io: CommandIo,
): Promise<number> {
  let command: StartedCommand;
  try {
    const commandLine = io.ignoresHangUp ? ignoringHangUp(request.argv) : request.argv;
    command = request.pty
      ? await PtyCommand.start(commandLine, sizeOf(io))
      : await RunningCommand.start(commandLine, request.lingerMs);
  } catch (error) {
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    log(`failed to run ${name}: ${isMissing ? 'command not found' : messageOf(error)}`);
    return isMissing ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN;
  }

  logVerbose(`appending from ${name} to ${url}`);
  const progress = startProgress();
  const options = {
    headers,
    expect: undefined,
    stallTimeoutMs,
    tee: tee ? io.stdout : undefined,
    progress,
    mayHaveMeantToResume: undefined,
    status: () => command.exit,
    log,
    logVerbose,
  };
  const transfer = new Transfer(command.output, url, options);
  const appended = transfer.done().then(
    () => true,
    (error) => {
      progress?.stop();
      log(`failed to append from ${name} to ${url}: ${messageOf(error)}`);
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
      // The terminal sends SIGINT to the command, too, unless that has one of its own.
      if (signal !== 'SIGINT' || !command.sharesTerminal) command.kill(signal);
      if (isStopping) {
        transfer.destroy(new Error('interrupted'));
        command.abandon();
        resolve(signal);
      } else if (command.hasExited) {
        // What still holds the pipe is not what was asked for.
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
      logVerbose(`finished appending from ${name} to ${url}`);
    }
    const isDone = isAppended && !transfer.hasFailedCopy;
    return exitCode === 0 && !isDone ? EXIT_FAILURE : exitCode;
  } finally {
    restoreSignals();
    progress?.stop();
  }
}

/** That of this process's terminal, if it has one. */
function sizeOf({ stdout, stderr }: CommandIo): TerminalSize {
  const [{ columns, rows } = {}] = [stdout, stderr].filter((stream) => stream.columns && stream.rows);
  return { columns: columns ?? DEFAULT_SIZE.columns, rows: rows ?? DEFAULT_SIZE.rows };
}
