import { readFileSync } from 'node:fs';
import { type Command, InvalidArgumentError, type Option } from 'commander';
import { messageOf } from '../io/io.ts';

/** What makes sense on a command line only. */
const ONLY_OPTIONS = ['config', 'check', 'help', 'version'];

/** A configuration file that cannot be read, or says what cannot be. */
export class ConfigError extends Error {}

/** The options that a configuration file may have. */
export function configurable(command: Command): Option[] {
  return command.options.filter((option) => !ONLY_OPTIONS.includes(option.name()));
}

/**
 * Takes from a file what neither the command line nor the environment says: a JSON object with the names and values of
 * options, lists as arrays. `$schema` is left to editors.
 *
 * @param command that has parsed its arguments
 * @returns what is taken from it, by the names of the options
 * @throws {ConfigError} which names the place in the file
 */
export async function applyConfigFile(command: Command, file: string): Promise<Map<string, unknown>> {
  const { $schema: _, ...values } = await objectIn(file);
  const options = configurable(command);
  const taken = new Map<string, unknown>();
  for (const [name, value] of Object.entries(values)) {
    const option = options.find((one) => one.name() === name);
    if (option === undefined) throw new ConfigError(`${file}: /${name}: there is no such option`);
    const parsed = parse(option, value, `${file}: /${name}`);
    const key = option.attributeName();
    // Of an option that has no default the source is unknown until somebody says something.
    if ((command.getOptionValueSource(key) ?? 'default') !== 'default') continue;
    command.setOptionValueWithSource(key, parsed, 'config');
    taken.set(name, value);
  }
  return taken;
}

async function objectIn(file: string): Promise<Record<string, unknown>> {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw new ConfigError(`the configuration cannot be read: ${messageOf(cause)}`, { cause });
  }
  // Loaded only if it is needed: most servers have no such file.
  const { lineAndColumn, repeatedMember } = await import('../../rights/json-text.ts');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    // Of short texts V8 quotes the place, of others it tells the position.
    const reason = messageOf(cause).replace(/\s+/g, ' ');
    const position = /at position (\d+)/.exec(messageOf(cause))?.[1];
    const place = position === undefined ? '' : lineAndColumn(text, Number(position));
    throw new ConfigError(`${file}${place}: ${reason}`, { cause });
  }
  const repeated = repeatedMember(text);
  if (repeated !== undefined) throw new ConfigError(`${file}${repeated}`);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new ConfigError(`${file}: it must be an object, with the names of options`);
  }
  return value as Record<string, unknown>;
}

/** Parses a value as the option would on the command line. */
function parse(option: Option, value: unknown, place: string): unknown {
  if (!Array.isArray(option.defaultValue)) return parseOne(option, value, undefined, place);
  // An empty list is what an empty text would be on the command line: of some options it is refused.
  const items = Array.isArray(value) ? value : [value];
  if (items.length === 0) return parseOne(option, '', option.defaultValue, place);
  return items.reduce<unknown>(
    (others, item, i) => parseOne(option, item, others, Array.isArray(value) ? `${place}/${i}` : place),
    option.defaultValue,
  );
}

function parseOne(option: Option, value: unknown, others: unknown, place: string): unknown {
  if (!['string', 'number', 'boolean'].includes(typeof value)) {
    throw new ConfigError(`${place}: it must be a string, a number, true or false`);
  }
  try {
    return option.parseArg === undefined ? String(value) : option.parseArg(String(value), others);
  } catch (error) {
    if (!(error instanceof InvalidArgumentError)) throw error;
    throw new ConfigError(`${place}: ${error.message}`, { cause: error });
  }
}
