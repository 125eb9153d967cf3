import { eastAsianWidth } from 'get-east-asian-width';

/** A character as its reader sees it (a letter with its marks, an emoji of several parts) and its columns. */
export interface Cell {
  readonly text: string;
  readonly width: number;
}

/** Of these each UTF-16 unit is one column, whatever stands beside it: letters, frames, bars, spinners. */
const NARROW =
  /^[\x20-\x7e\xa0-\xac\xae-\u02ff\u0410-\u044f\u2010-\u2027\u2030-\u205e\u2190-\u21ff\u2500-\u25fc\u2800-\u28ff]*$/;

/** What can be part of a larger whole: marks, joiners, flags, skin tones, jamo. */
const JOINING =
  /[\p{M}\p{Cf}\p{Emoji_Modifier}\p{Regional_Indicator}\u1100-\u11ff\ua960-\ua97c\ud7b0-\ud7fb]/u;

const LEADING_MARKS = /^[\p{M}\p{Cf}\p{Emoji_Modifier}]+/u;
const EMOJI = /^\p{Emoji}.*\ufe0f|^\p{Regional_Indicator}{2}/u;

/** Below this code point all characters are narrow. */
const FIRST_WIDE = 0x1100;

const segmenter = new Intl.Segmenter('en', { granularity: 'grapheme' });

/** Tells whether each UTF-16 unit of a text takes one column. */
export function isNarrow(text: string): boolean {
  return NARROW.test(text);
}

/** What of a text, at its beginning, belongs to the character before it: it has no width. */
export function leadingMarks(text: string): string {
  return LEADING_MARKS.exec(text)?.[0] ?? '';
}

/** How many columns a text takes. */
export function widthOf(text: string): number {
  let width = 0;
  if (JOINING.test(text)) {
    for (const { segment } of segmenter.segment(text)) width += graphemeWidth(segment);
  } else {
    for (const character of text) width += characterWidth(character);
  }
  return width;
}

/** The cells of a text, in order; those of width 0 belong to what stands before the text. */
export function cellsOf(text: string): Cell[] {
  if (JOINING.test(text)) {
    return Array.from(segmenter.segment(text), ({ segment }) => ({
      text: segment,
      width: graphemeWidth(segment),
    }));
  }
  return Array.from(text, (character) => ({ text: character, width: characterWidth(character) }));
}

function graphemeWidth(grapheme: string): number {
  if (leadingMarks(grapheme) === grapheme) return 0;
  return EMOJI.test(grapheme) ? 2 : characterWidth(grapheme);
}

function characterWidth(character: string): number {
  const codePoint = character.codePointAt(0)!;
  return codePoint < FIRST_WIDE ? 1 : eastAsianWidth(codePoint);
}
