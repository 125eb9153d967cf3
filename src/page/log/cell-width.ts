import { eastAsianWidth } from 'get-east-asian-width';

/** A character as its reader sees it (a letter with its marks, an emoji of several parts) and its columns. */
export interface Cell {
  readonly text: string;
  readonly width: number;
}

/** Of these each UTF-16 unit is one column, whatever stands beside it: letters, frames, bars, spinners. */
const NARROW =
  /^[\x20-\x7e\xa0-\xac\xae-\u02ff\u0370-\u0482\u048a-\u052f\u2010-\u2027\u2030-\u205e\u2190-\u21ff\u2500-\u25fc\u2800-\u28ff]*$/;

/** What can be part of a larger whole: marks, joiners, flags, skin tones, jamo. */
const JOINS = String.raw`\p{M}\p{Cf}\p{Emoji_Modifier}\p{Regional_Indicator}\u1100-\u11ff\ua960-\ua97c\ud7b0-\ud7fb`;
const JOINING = new RegExp(`[${JOINS}]`, 'u');

/** That with what it belongs to: the character before, and what is behind a joiner. */
const JOINED = new RegExp(`[^]?[${JOINS}](?:[${JOINS}]|(?<=\u200d)[^])*`, 'gu');

/** A character has no more marks than UAX #15 allows in a stream: browsers take seconds to lay out thousands. */
export const MAX_COMBINING_MARKS = 30;
const TOO_MANY_MARKS = new RegExp(String.raw`([\p{M}\p{Cf}]{${MAX_COMBINING_MARKS}})[\p{M}\p{Cf}]`, 'u');

const TRAILING_MARK = /[\p{M}\p{Cf}\p{Emoji_Modifier}]$/u;
const LEADING_MARKS = /^[\p{M}\p{Cf}\p{Emoji_Modifier}]+/u;
const EMOJI = /^\p{Emoji}.*\ufe0f|^\p{Regional_Indicator}{2}/u;

/** Below this code point all characters are narrow. */
const FIRST_WIDE = 0x1100;

/** How many texts are remembered with their cells, … */
const MAX_REMEMBERED = 2000;

/** … and how long these are at most: longer ones would be kept together with what they are a part of. */
const MAX_REMEMBERED_LENGTH = 12;

/** Made when a text first needs it: that takes tens of milliseconds, for which the first screen would wait. */
let segmenter: Intl.Segmenter | undefined;

/** The cells of joined texts: those that a log has it has often, and to segment them is slow. */
const remembered = new Map<string, readonly Cell[]>();

/** The width of each UTF-16 unit that is a character of its own, as far as it was asked for; 0 if not. */
const unitWidths = new Uint8Array(0x10000);

/** Tells whether each UTF-16 unit of a text takes one column. */
export function isNarrow(text: string): boolean {
  return NARROW.test(text);
}

/** What of a text, at its beginning, belongs to the character before it: it has no width. */
export function leadingMarks(text: string): string {
  return LEADING_MARKS.exec(text)?.[0] ?? '';
}

/** Where in a text the first marks are that are too many for one character; undefined when there are none. */
export function excessMarksStart(text: string): number | undefined {
  const match = text.length > MAX_COMBINING_MARKS ? TOO_MANY_MARKS.exec(text) : null;
  return match === null ? undefined : match.index + match[1]!.length;
}

/** How many marks the last character of a text has; those that are more than one may have are not counted. */
export function trailingMarkCount(text: string): number {
  // Marks are of one UTF-16 unit, or two.
  const characters = Array.from(text.slice(-2 * MAX_COMBINING_MARKS));
  const others = characters.findLastIndex((character) => !TRAILING_MARK.test(character));
  return Math.min(characters.length - 1 - others, MAX_COMBINING_MARKS);
}

/** How many columns a text takes. */
export function widthOf(text: string): number {
  let width = 0;
  for (const part of partsOf(text)) {
    if (typeof part === 'string') width += widthOfSeparate(part);
    else for (const cell of part) width += cell.width;
  }
  return width;
}

/** The cells of a text, in order; those of width 0 belong to what stands before the text. */
export function cellsOf(text: string): Cell[] {
  return partsOf(text).flatMap((part) =>
    typeof part === 'string'
      ? Array.from(part, (character) => ({ text: character, width: characterWidth(character) }))
      : part,
  );
}

/** A text in parts: characters that are cells of their own, and the cells of what is joined. */
function partsOf(text: string): (string | readonly Cell[])[] {
  if (!JOINING.test(text)) return [text];
  const parts: (string | readonly Cell[])[] = [];
  let from = 0;
  for (const { 0: joined, index } of text.matchAll(JOINED)) {
    parts.push(text.slice(from, index), joinedCells(joined));
    from = index + joined.length;
  }
  parts.push(text.slice(from));
  return parts;
}

function joinedCells(text: string): readonly Cell[] {
  const known = remembered.get(text);
  if (known !== undefined) return known;
  segmenter ??= new Intl.Segmenter('en', { granularity: 'grapheme' });
  const cells = Array.from(segmenter.segment(text), ({ segment }) => ({
    text: segment,
    width: graphemeWidth(segment),
  }));
  if (remembered.size === MAX_REMEMBERED) remembered.clear();
  if (text.length <= MAX_REMEMBERED_LENGTH) remembered.set(text, cells);
  return cells;
}

function graphemeWidth(grapheme: string): number {
  if (leadingMarks(grapheme) === grapheme) return 0;
  return EMOJI.test(grapheme) ? 2 : characterWidth(grapheme);
}

/** The columns of characters of which none is joined. */
function widthOfSeparate(text: string): number {
  let width = 0;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    // A surrogate, and the other half of the pair.
    if ((unit & 0xf800) === 0xd800) width += eastAsianWidth(text.codePointAt(i++)!);
    else width += unitWidths[unit] ||= eastAsianWidth(unit);
  }
  return width;
}

function characterWidth(character: string): number {
  const codePoint = character.codePointAt(0)!;
  return codePoint < FIRST_WIDE ? 1 : eastAsianWidth(codePoint);
}
