/** What is searched for. */
export interface SearchQuery {
  text: string;
  /** `literal`: these characters; `regex`: a regular expression, as JavaScript has them, in each line by itself. */
  mode: 'literal' | 'regex';
  /** `smart`: sensitive when there is a capital letter in the text. */
  case: 'sensitive' | 'insensitive' | 'smart';
}

/** That a regular expression is none: the message says why. */
export class InvalidPatternError extends Error {}

/** A regular expression, and how it may be applied. */
export interface Pattern {
  expression: RegExp;
  /** Whether it can tell what is beyond the line in which it begins, and has to be applied to each by itself. */
  isByLine: boolean;
  /** Whether all that it matches is ASCII, so that bytes may be taken for characters. */
  isOfAscii: boolean;
}

/** Whether small and capital letters are told apart. */
export function isCaseSensitive({ text, mode, case: wanted }: SearchQuery): boolean {
  if (wanted !== 'smart') return wanted === 'sensitive';
  // Not the S of what is no white space.
  const letters = mode === 'regex' ? text.replaceAll(/\\[pP]\{[^}]*\}|\\./gu, '') : text;
  return letters !== letters.toLowerCase();
}

/**
 * What in a regular expression may match a line feed, or depend on what is on its other side: classes that are said by what
 * is not in them or by escapes, and looks ahead and back.
 */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const BEYOND_LINE = /\\[sSWDPpnrtvfcxu0-9k]|\[\^|\(\?[=!<]|[\u0000-\u001f]/;

/**
 * Reads a regular expression: as Unicode has it, or where it is none then, as it always was.
 *
 * @throws {InvalidPatternError}
 */
export function patternOf(query: SearchQuery): Pattern {
  const { text } = query;
  const flags = isCaseSensitive(query) ? 'gm' : 'gim';
  try {
    return { expression: tryUnicode(text, flags), isByLine: BEYOND_LINE.test(text), isOfAscii: false };
  } catch (error) {
    throw new InvalidPatternError((error as Error).message, { cause: error });
  }
}

function tryUnicode(text: string, flags: string): RegExp {
  try {
    return new RegExp(text, `${flags}u`);
  } catch {
    return new RegExp(text, flags);
  }
}

/** The pattern of a literal text, in whatever case. */
export function anyCase(text: string): Pattern {
  const escaped = text.replaceAll(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: it is all of ASCII
  const isOfAscii = /^[\u0000-\u007f]*$/.test(text);
  // With `u` letters beyond ASCII are equal to some of ASCII.
  return { expression: new RegExp(escaped, isOfAscii ? 'gi' : 'giu'), isByLine: false, isOfAscii };
}
