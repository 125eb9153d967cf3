import { type Command, CommanderError, InvalidArgumentError } from 'commander';
import { textWithoutCredentials } from '../client/session/target-url.ts';
import type { CommandIo } from './io/io.ts';

/** Exit code of all commands for wrong usage. */
export const EXIT_USAGE = 2;

/** Wrong usage that shows only when a named file is looked at. Its exit code is {@link EXIT_USAGE}. */
export class WrongUsageError extends Error {}

/** Width of help if that of the terminal is not known: what every pager can show. */
const DEFAULT_COLUMNS = 80;

/** Narrowest column for the descriptions of options. */
const MIN_DESCRIPTION_COLUMNS = 16;

/** The longest time that an option may give: a day. */
const MAX_SECONDS = 86_400;

const USAGE = 'Usage: ';

/** A space that is not in brackets. */
const BETWEEN_ARGUMENTS = / (?![^[\]]*\])/;

/** Whether the command is to run, or to exit at once with a code. */
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
    // Commander would use process.stdout, which changes a pipe that other processes share.
    getOutHelpWidth: () => io.stdout.columns || DEFAULT_COLUMNS,
    getOutHasColors: () => false,
    outputError: (text, write) => write(`${command.name()}: ${textWithoutCredentials(oneLine(text))}\n`),
  });
  command.configureHelp({ ...command.configureHelp(), minWidthToWrap: MIN_DESCRIPTION_COLUMNS });
  try {
    command.parse(withDoubleDashes(command, argv), { from: 'user' });
    return {};
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return { exitCode: error.exitCode === 0 ? 0 : EXIT_USAGE };
  }
}

/** Parses an option's number of seconds, which may be 0. */
export function secondsOption(text: string): number {
  const seconds = Number(text);
  if (!/^\d*\.?\d+$/.test(text) || seconds > MAX_SECONDS) {
    throw new InvalidArgumentError(`It must be a number of seconds, at most ${MAX_SECONDS}.`);
  }
  return seconds;
}

/** Parses an option's number of seconds, which may not be 0. */
export function positiveSecondsOption(text: string): number {
  const seconds = secondsOption(text);
  if (seconds < 0.001) throw new InvalidArgumentError('It must be at least 0.001.');
  return seconds;
}

/**
 * Wraps a help text to a width: paragraphs, and the usage line. Blocks with indented
 * lines, which are lists and examples, stay as they are.
 *
 * @param columns undefined or 0 for {@link DEFAULT_COLUMNS}
 */
export function fitHelp(text: string, columns: number | undefined): string {
  const width = columns || DEFAULT_COLUMNS;
  return text
    .split('\n\n')
    .map((block) => fitBlock(block, width))
    .join('\n\n');
}

function fitBlock(block: string, columns: number): string {
  if (block.startsWith(USAGE)) return wrapped(block.split(BETWEEN_ARGUMENTS), columns, USAGE.length);
  if (/^ /m.test(block)) return block;
  const [, before = '', paragraph = '', after = ''] = /^(\n*)(.*?)(\n*)$/s.exec(block) ?? [];
  return before + wrapped(paragraph.split(/\s/), columns, 0) + after;
}

/** @param indent of all lines but the first, in columns */
function wrapped(words: readonly string[], columns: number, indent: number): string {
  const lines: string[] = [];
  let line = '';
  for (const word of words) {
    if (line !== '' && line.length + 1 + word.length > columns) {
      lines.push(line);
      line = ' '.repeat(indent) + word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line].join('\n');
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

/** Commander puts suggestions on a line of their own. */
function oneLine(text: string): string {
  return text
    .replace(/^error: /, '')
    .trimEnd()
    .replaceAll('\n', ' ');
}
