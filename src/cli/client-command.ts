import { Command } from 'commander';
import type { ReconnectEvent } from '../client/retry.ts';
import type { CommandIo } from './io.ts';
import { parseArguments } from './parse-arguments.ts';

/** Exit code of the client commands for failures and wrong usage alike, as the original's. */
export const EXIT_FAILURE = 1;

/** Where the client commands say what they do. */
export interface ClientLog {
  /** Writes a line to standard error. */
  log: (line: string) => void;
  /** The same, with `-v` only. */
  logVerbose: (line: string) => void;
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

/** Begins a client command: with `-v` and `-h`. */
export function clientCommand({ name, usage, description, help }: ClientCommandTexts): Command {
  return new Command(name)
    .description(description)
    .usage(usage)
    .option('-v, --verbose', 'tell what is being done')
    .helpOption('-h, --help', 'show this help')
    .addHelpText('after', help);
}

/** Parses a client command. Returns the exit code when it is over with that. */
export function parseClientCommand(
  command: Command,
  argv: readonly string[],
  io: CommandIo,
): ClientLog | number {
  const { exitCode } = parseArguments(command, argv, io, EXIT_FAILURE);
  if (exitCode !== undefined) return exitCode;
  const log = (line: string) => void io.stderr.write(`${line}\n`);
  return { log, logVerbose: command.opts().verbose ? log : () => {} };
}

/** Tells of wrong usage that the parser does not see. Returns the exit code. */
export function refuseUsage(command: Command, message: string, io: CommandIo): number {
  io.stderr.write(`${command.name()}: ${message}\n`);
  return EXIT_FAILURE;
}

/** The attempt that is told without `-v`, too: by then the connection has been lost for a few seconds. */
const TOLD_ATTEMPT = 5;

/** Tells that a connection is made anew. */
export function tellReconnect(
  { attempt, delayMs, error }: ReconnectEvent,
  { log, logVerbose }: ClientLog,
  prefix = '',
): void {
  const seconds = (delayMs / 1000).toFixed(1);
  const tell = attempt === TOLD_ATTEMPT ? log : logVerbose;
  tell(`${prefix}connection lost (${error.message}): trying again in ${seconds} s (attempt ${attempt})`);
}
