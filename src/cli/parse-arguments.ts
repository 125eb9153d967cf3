import { type Command, CommanderError } from 'commander';
import { textWithoutCredentials } from '../client/connection/target-url.ts';
import { fitHelp } from './help-text.ts';
import type { CommandIo } from './io/io.ts';

/** Exit code of all commands for wrong usage. */
export const EXIT_USAGE = 2;

/** Wrong usage that nobody sees before what was named is looked at. Its exit code is {@link EXIT_USAGE}. */
export class WrongUsageError extends Error {}

/** Width of help where no terminal says another. */
const HELP_COLUMNS = 80;

/** Narrowest column in which what an option does is told. */
const MIN_HELP_COLUMNS = 20;

/** How parsing went: go on, or leave with this exit code. */
export type Parsed = { exitCode: number } | { exitCode?: undefined };

/**
 * Parses the arguments of a command. Long options may have one dash or two, as
 * Go's do: `-root DIR`, `-root=DIR`, `--root DIR`. Help and version go to
 * stdout, as wide as the terminal is; a mistake is one line on stderr, and {@link EXIT_USAGE}.
 */
export function parseArguments(command: Command, argv: readonly string[], io: CommandIo): Parsed {
  command.exitOverride().configureOutput({
    writeOut: (text) => io.stdout.write(fitHelp(text, io.stdout.isTTY ? io.stdout.columns : undefined)),
    writeErr: (text) => io.stderr.write(text),
    // Commander would look at Node's own stream, which changes what others share with it.
    getOutHelpWidth: () => io.stdout.columns || HELP_COLUMNS,
    getOutHasColors: () => false,
    outputError: (text, write) => write(`${command.name()}: ${textWithoutCredentials(oneLine(text))}\n`),
  });
  command.configureHelp({ ...command.configureHelp(), minWidthToWrap: MIN_HELP_COLUMNS });
  try {
    command.parse(withDoubleDashes(command, argv), { from: 'user' });
    return {};
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return { exitCode: error.exitCode === 0 ? 0 : EXIT_USAGE };
  }
}

function withDoubleDashes(command: Command, argv: readonly string[]): string[] {
  const names = new Set(['--help', ...command.options.map(({ long }) => long)]);
  const end = argv.indexOf('--');
  return argv.map((argument, i) => {
    const doubled = `-${argument}`;
    const isLongOption = names.has(doubled.split('=', 1)[0]) && (end === -1 || i < end);
    return isLongOption ? doubled : argument;
  });
}

/** Also of a mistake that comes with a suggestion. */
function oneLine(text: string): string {
  return text
    .replace(/^error: /, '')
    .trimEnd()
    .replaceAll('\n', ' ');
}
