import { eastAsianWidth } from 'get-east-asian-width';

/** A character as its reader sees it (a letter with its marks, an emoji of several parts) and its columns. */
export interface Cell {
  readonly text: string;
  readonly width: number;
}

/** Of these each UTF-16 unit is one column, whatever stands beside it: letters, frames, bars, spinners. */
const NARROW =
  /^[\x20-\x7e\xa0-\xac\xae-\u02ff\u0410-\u044f\u2010-\u2027\u2030-\u205e\u2190-\u21ff\u2500-\u25fc\u2800-\u28ff]*$/;

/** Narrow ones, and those that are two columns and never part of a larger whole. */
const SIMPLE =
  /^[\x20-\x7e\xa0-\xac\xae-\u02ff\u2010-\u2027\u2500-\u25fc\u3001-\u3029\u3041-\u3096\u30a1-\u30fc\u4e00-\u9fff\uac00-\ud7a3\uff01-\uff60]*$/;

const MARKS_ONLY = /^[\p{M}\p{Cf}\p{Emoji_Modifier}]*$/u;
const EMOJI = /^\p{Emoji}.*\ufe0f|^\p{Regional_Indicator}{2}/u;

const segmenter = new Intl.Segmenter('en', { granularity: 'grapheme' });

/** Tells whether each UTF-16 unit of a text takes one column. */
export function isNarrow(text: string): boolean {
  return NARROW.test(text);
}

/** The cells of a text, in order; those of width 0 belong to what stands before the text. */
export function cellsOf(text: string): Cell[] {
  if (SIMPLE.test(text)) {
    return Array.from(text, (character) => ({ text: character, width: character < '\u3000' ? 1 : 2 }));
  }
  return Array.from(segmenter.segment(text), ({ segment }) => ({ text: segment, width: widthOf(segment) }));
}

function widthOf(grapheme: string): number {
  if (MARKS_ONLY.test(grapheme)) return 0;
  if (EMOJI.test(grapheme)) return 2;
  return eastAsianWidth(grapheme.codePointAt(0)!);
}
