import { cellsOf, isNarrow } from '../log/cell-width.ts';

/** Characters of one column that a fixed-width font may lack: symbols, numbers in circles, half-width forms. */
const SYMBOL = /^[\p{S}\p{No}\uff61-\uffdc]/u;

/** Size at which characters are measured, in pixels: what they take grows with it. */
const MEASURED_PX = 100;

/** So many characters are remembered. */
const MAX_REMEMBERED = 10_000;

/** A part of a text whose characters all need the same space behind them. */
export interface SpacedText {
  text: string;
  /** In em. */
  spacing: number;
}

let context: CanvasRenderingContext2D | undefined;
const advances = new Map<string, number>();

/**
 * Cuts a text into parts, and says how much space each needs behind each of its characters so that they take whole columns:
 * what the fixed-width font lacks comes from another one, in which a character is as wide as it likes.
 */
export function spacedTexts(text: string): SpacedText[] {
  if (isNarrow(text)) return [{ text, spacing: 0 }];
  const parts: SpacedText[] = [];
  for (const { text: character, width } of cellsOf(text)) {
    const spacing = width === 2 || SYMBOL.test(character) ? spacingOf(character, width) : 0;
    const last = parts.at(-1);
    if (last?.spacing === spacing) last.text += character;
    else parts.push({ text: character, spacing });
  }
  return parts;
}

function spacingOf(character: string, columns: number): number {
  return Math.round((columns * advanceOf('0') - advanceOf(character)) * 1000) / 1000;
}

/** How much room a character takes by itself, in em. */
function advanceOf(character: string): number {
  let advance = advances.get(character);
  if (advance === undefined) {
    context ??= measuringContext();
    advance = context.measureText(character).width / MEASURED_PX;
    if (advances.size >= MAX_REMEMBERED) advances.clear();
    advances.set(character, advance);
  }
  return advance;
}

/** With the font that rows have, as the style sheet says. */
function measuringContext(): CanvasRenderingContext2D {
  const made = document.createElement('canvas').getContext('2d')!;
  made.font = `${MEASURED_PX}px ${getComputedStyle(document.documentElement).getPropertyValue('--mono')}`;
  return made;
}
