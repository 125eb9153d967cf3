import { Command } from 'commander';
import type { CommandIo } from './io.ts';
import { parseArguments } from './parse-arguments.ts';

/** Exit code of the client commands for failures and wrong usage alike, as the original's. */
export const EXIT_FAILURE = 1;

/** What the two client commands get from their arguments. */
export interface ClientCommand {
  /** URL of the resource, as it was typed. */
  url: string;
  /** Writes a line to standard error. */
  log: (line: string) => void;
  /** The same, with `-v` only. */
  logVerbose: (line: string) => void;
}

/** Parses `[-v] URL`. Returns the exit code when the command is over with that. */
export function parseClientCommand(
  { name, description, help }: { name: string; description: string; help: string },
  argv: readonly string[],
  io: CommandIo,
): ClientCommand | number {
  const command = new Command(name)
    .description(description)
    .usage('[-v] URL')
    .argument('<URL>', 'http or https URL of the resource')
    .option('-v, --verbose', 'tell what is being done')
    .helpOption('-h, --help', 'show this help')
    .addHelpText('after', help);
  const { exitCode } = parseArguments(command, argv, io, EXIT_FAILURE);
  if (exitCode !== undefined) return exitCode;

  const [url] = command.args as [string];
  const log = (line: string) => void io.stderr.write(`${line}\n`);
  return { url, log, logVerbose: command.opts().verbose ? log : () => {} };
}
