import { InvalidPathError } from '../../wire/errors.ts';

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
const CONTROL_CHARACTER = /[\u0000-\u001f\u007f]/;

const REPLACEMENT_CHARACTER = '\ufffd';

/**
 * The name under which a part of a form is stored: the last segment of the path
 * that the client sent, in the way of its own system.
 *
 * @throws {InvalidPathError} when nothing is left of it, it is not UTF-8, or it names no file
 */
export function partName(filename: string): string {
  const name = filename.slice(Math.max(filename.lastIndexOf('/'), filename.lastIndexOf('\\')) + 1);
  if (name === '') throw new InvalidPathError('a part of the form has no file name');
  // What cannot be decoded is replaced by that: several names would be one.
  if (name.includes(REPLACEMENT_CHARACTER)) throw new InvalidPathError('the file name is not UTF-8');
  if (CONTROL_CHARACTER.test(name)) throw new InvalidPathError('the file name has a control character');
  if (name === '.' || name === '..') throw new InvalidPathError(`${name} is not the name of a file`);
  return name;
}
