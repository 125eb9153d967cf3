import { excessMarksStart, isNarrow, leadingMarks, widthOf } from './cell-width.ts';
import { type ControlSequence, readControlSequence } from './control-sequences.ts';
import { Line } from './line.ts';
import { Pen, type TerminalState } from './pen.ts';
import { PLAIN } from './style.ts';
import { hiddenCodePoint, sequenceLength } from './utf8.ts';

/** How many of the lowest rows the cursor can reach: as high as terminals get. */
export const SCREEN_ROWS = 200;

/** The cursor moves no further to the right than text goes, or than this. */
export const SCREEN_COLUMNS = 1000;

/** How many rows are made because the cursor was sent to them: twelve bytes can ask for 200 of them, over and over. */
const MAX_ADDRESSED_ROWS = 10_000;

const TAB_COLUMNS = 8;

const NUL = 0x00;
const BEL = 0x07;
const BS = 0x08;
const TAB = 0x09;
const LF = 0x0a;
const CR = 0x0d;
const SO = 0x0e;
const SI = 0x0f;
const ESC = 0x1b;
const DEL = 0x7f;

const latin1Decoder = new TextDecoder('latin1');
const utf8Decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/**
 * A terminal without a right edge, in which nothing is lost at the top: its rows begin where a line feed
 * leaves the lowest one. The cursor reaches the lowest 200 rows. A screen that is cleared
 * begins anew below, and what was there stays.
 */
export class Terminal {
  readonly lines: Line[];
  /** Whether a full-screen program was at work: its screen cannot be told in rows. */
  fullScreen: boolean;
  readonly #bytes: Uint8Array;
  readonly #latin1: string;
  readonly #at: number;
  readonly #pen: Pen;
  #lineFeeds = 0;
  /** Index of the row in which the screen began, if it was cleared or its home addressed. */
  #home: number | undefined;
  #row = 0;
  #column = 0;
  #saved = { row: 0, column: 0 };
  /** The cursor is where no row is known. What is written there is not shown. */
  #isAstray = false;
  #addressedRows = 0;

  /** @param at position of the first byte */
  constructor(bytes: Uint8Array, at: number, state: TerminalState) {
    this.#bytes = bytes;
    this.#latin1 = latin1Decoder.decode(bytes);
    this.#at = at;
    this.#pen = new Pen(state);
    this.lines = [new Line(at, 0)];
    this.fullScreen = state.alternate;
    if (state.alternate) this.#chip(FULL_SCREEN);
  }

  get state(): TerminalState {
    return this.#pen.state;
  }

  /** Index of the row in which the cursor is. */
  get row(): number {
    return this.#row;
  }

  /** Carries out the bytes from one index to another. */
  run(from: number, to: number): void {
    let i = from;
    while (i < to) {
      const byte = this.#bytes[i]!;
      if (byte >= 0x20 && byte !== DEL) i = this.#printRun(i, to);
      else if (byte === ESC) i = this.#obey(i, to);
      else i = this.#control(byte, i, to);
    }
  }

  /** Begins a row at an index that no line feed is before, unless the lowest is blank. */
  startRow(index: number): void {
    this.#isAstray = false;
    if (!this.lines.at(-1)!.isBlank) this.lines.push(new Line(this.#at + index, this.#lineFeeds));
    this.#row = this.lines.length - 1;
    this.#column = 0;
  }

  get #line(): Line {
    return this.lines[this.#row]!;
  }

  get #isHidden(): boolean {
    return this.#pen.alternate || this.#isAstray;
  }

  #printRun(from: number, to: number): number {
    let i = from;
    while (i < to && this.#bytes[i]! >= 0x20 && this.#bytes[i]! < DEL) i++;
    if (i < to && this.#bytes[i]! > DEL) return this.#printUnicode(from, to);
    this.#print(this.#latin1.substring(from, i), true);
    return i;
  }

  #printUnicode(from: number, to: number): number {
    const bytes = this.#bytes;
    let textStart = from;
    let i = from;
    while (i < to && bytes[i]! >= 0x20 && bytes[i] !== DEL) {
      const length = sequenceLength(bytes, i, to);
      const hidden = length === 2 || length === 3 ? hiddenCodePoint(bytes, i) : undefined;
      if (length > 0 && hidden === undefined) {
        i += length;
        continue;
      }
      this.#printDecoded(textStart, i);
      if (hidden === undefined) {
        i = this.#printInvalid(i, to);
      } else {
        this.#chip(codePointName(hidden));
        i += length;
      }
      textStart = i;
    }
    this.#printDecoded(textStart, i);
    return i;
  }

  #printInvalid(from: number, to: number): number {
    let i = from + 1;
    while (i < to && this.#bytes[i]! > DEL && sequenceLength(this.#bytes, i, to) === 0) i++;
    let names = '';
    for (const byte of this.#bytes.subarray(from, i)) names += byteName(byte);
    this.#chip(names, i - from);
    return i;
  }

  #printDecoded(from: number, to: number): void {
    if (from === to) return;
    const text = utf8Decoder.decode(this.#bytes.subarray(from, to));
    this.#print(text, isNarrow(text));
  }

  #print(text: string, narrow: boolean): void {
    if (this.#isHidden) return;
    if (narrow) {
      this.#write(text, text.length, true);
      return;
    }
    const marks = leadingMarks(text);
    if (marks !== '') this.#column = this.#line.combine(this.#column, marks);
    const rest = text.slice(marks.length);
    const end = excessMarksStart(rest) ?? rest.length;
    const shown = rest.slice(0, end);
    if (shown !== '') this.#write(shown, widthOf(shown), false);
    if (end < rest.length) this.#print(rest.slice(end), false);
  }

  #write(text: string, width: number, narrow: boolean): void {
    const { style, link } = this.#pen;
    this.#line.write(this.#column, { text, style, link, chip: false, width, narrow });
    this.#column += width;
  }

  #chip(text: string, width = 1): void {
    if (this.#isAstray) return;
    this.#line.write(this.#column, { text, style: PLAIN, link: undefined, chip: true, width, narrow: false });
    this.#column += width;
  }

  #control(byte: number, index: number, to: number): number {
    if (byte === NUL) return this.#hole(index, to);
    if (byte === LF) this.#lineFeed(index + 1);
    else if (!this.#isHidden) {
      if (byte === CR) this.#column = 0;
      else if (byte === BS) this.#column = Math.max(0, this.#column - 1);
      else if (byte === TAB) this.#column += TAB_COLUMNS - (this.#column % TAB_COLUMNS);
      else if (byte !== BEL && byte !== SO && byte !== SI) this.#chip(byteName(byte));
    }
    return index + 1;
  }

  /** A run of NUL: where a sparse file has a hole, or a disk has lost what was written. */
  #hole(from: number, to: number): number {
    let i = from;
    while (i < to && this.#bytes[i] === NUL) i++;
    if (!this.#isHidden) this.#chip(i - from === 1 ? '\\0' : `\\0 × ${(i - from).toLocaleString('en')}`);
    return i;
  }

  #lineFeed(next: number): void {
    this.#lineFeeds += 1;
    if (this.#pen.alternate) return;
    this.#isAstray = false;
    this.#column = 0;
    this.#row += 1;
    if (this.#row === this.lines.length) this.lines.push(new Line(this.#at + next, this.#lineFeeds));
  }

  #obey(index: number, to: number): number {
    const sequence = readControlSequence(this.#bytes, this.#latin1, index, to);
    const wasAlternate = this.#pen.alternate;
    this.#pen.apply(sequence);
    if (this.#pen.alternate !== wasAlternate) this.#switchScreen(wasAlternate ? sequence.next : index);
    else if (wasAlternate) return sequence.next;
    else if (sequence.kind === 'csi') this.#obeyCsi(sequence);
    else if (sequence.kind === 'escape' && sequence.parameters === '') this.#obeyEscape(sequence);
    return sequence.next;
  }

  #switchScreen(index: number): void {
    this.fullScreen = true;
    this.startRow(index);
    if (this.#pen.alternate) this.#chip(FULL_SCREEN);
  }

  #obeyEscape({ final, next }: ControlSequence): void {
    if (final === '7') this.#saveCursor();
    if (final === '8') this.#restoreCursor();
    if (final === 'M') this.#moveRows(-1);
    if (final === 'D' || final === 'E') this.#indexDown(next, final === 'E');
    if (final === 'c') this.#startScreen(next);
  }

  #obeyCsi({ final, parameters, next }: ControlSequence): void {
    if (final === 'm') return;
    const [first = '', second = ''] = parameters.split(';', 2);
    const count = Math.max(1, clamped(first));
    switch (final) {
      case 'A':
        this.#moveRows(-count);
        break;
      case 'B':
      case 'e':
        this.#moveRows(count);
        break;
      case 'C':
      case 'a':
        this.#moveTo(this.#column + count);
        break;
      case 'D':
        this.#moveTo(this.#column - count);
        break;
      case 'E':
        this.#moveRows(count);
        this.#column = 0;
        break;
      case 'F':
        this.#moveRows(-count);
        this.#column = 0;
        break;
      case 'G':
      case '`':
        this.#moveTo(count - 1);
        break;
      case 'H':
      case 'f':
        this.#address(count, Math.max(1, clamped(second)), next);
        break;
      case 'd':
        this.#address(count, this.#column + 1, next);
        break;
      case 'J':
        this.#eraseInDisplay(clamped(first), next);
        break;
      case 'K':
        this.#eraseInLine(clamped(first));
        break;
      case 'X':
        this.#line.erase(this.#column, this.#column + count);
        break;
      case 'P':
        this.#line.remove(this.#column, count);
        break;
      case '@':
        // Nothing falls off at the right: what is pushed there is not pushed on for ever.
        this.#line.insert(this.#column, Math.min(count, Math.max(0, SCREEN_COLUMNS - this.#line.width)));
        break;
      case 's':
        if (parameters === '') this.#saveCursor();
        break;
      case 'u':
        if (parameters === '') this.#restoreCursor();
        break;
    }
  }

  get #top(): number {
    return Math.max(0, this.#home ?? 0, this.lines.length - SCREEN_ROWS);
  }

  #moveRows(count: number): void {
    this.#row = Math.min(this.lines.length - 1, Math.max(this.#top, this.#row + count));
  }

  #moveTo(column: number): void {
    this.#column = Math.max(0, Math.min(column, Math.max(this.#column, SCREEN_COLUMNS - 1)));
  }

  /** ESC D and ESC E: down a row, which is made if there is none. */
  #indexDown(next: number, toFirstColumn: boolean): void {
    this.#row += 1;
    if (this.#row === this.lines.length) this.lines.push(new Line(this.#at + next, this.#lineFeeds));
    if (toFirstColumn) this.#column = 0;
  }

  #saveCursor(): void {
    this.#saved = { row: this.#row, column: this.#column };
  }

  #restoreCursor(): void {
    this.#isAstray = false;
    this.#row = Math.min(this.lines.length - 1, Math.max(this.#top, this.#saved.row));
    this.#column = this.#saved.column;
  }

  /** Goes to a row and column of the screen, from 1. */
  #address(row: number, column: number, next: number): void {
    if (row === 1) {
      this.#startScreen(next);
    } else {
      this.fullScreen = true;
      if (this.#home === undefined) {
        this.#isAstray = true;
      } else {
        const target = this.#top + Math.min(row, SCREEN_ROWS) - 1;
        this.#addressTarget(target, next);
      }
    }
    this.#column = Math.min(column, SCREEN_COLUMNS) - 1;
  }

  #addressTarget(target: number, next: number): void {
    this.#addressedRows += Math.max(0, target + 1 - this.lines.length);
    if (this.#addressedRows > MAX_ADDRESSED_ROWS) {
      this.#isAstray = true;
      return;
    }
    while (this.lines.length <= target) this.lines.push(new Line(this.#at + next, this.#lineFeeds));
    this.#row = target;
  }

  /** Begins a screen below all rows, unless the one that is there is blank. */
  #startScreen(next: number): void {
    const top = this.#home ?? this.lines.length - 1;
    if (this.lines.slice(top).every((line) => line.isBlank)) this.#row = top;
    else this.startRow(next);
    this.#isAstray = false;
    this.#home = this.#row;
    this.#column = 0;
  }

  #eraseInLine(mode: number): void {
    if (mode === 0) this.#line.erase(this.#column, Number.POSITIVE_INFINITY);
    else if (mode === 1) this.#line.erase(0, this.#column + 1);
    else if (mode === 2) this.#line.erase(0, Number.POSITIVE_INFINITY);
  }

  #eraseInDisplay(mode: number, next: number): void {
    if (mode === 0) {
      this.#eraseInLine(0);
      for (const line of this.lines.slice(this.#row + 1)) line.erase(0, Number.POSITIVE_INFINITY);
    } else if (mode === 1) {
      this.#eraseInLine(1);
      const top = this.#home ?? this.#row;
      for (const line of this.lines.slice(top, this.#row)) line.erase(0, Number.POSITIVE_INFINITY);
    } else if (mode === 2) {
      const column = this.#column;
      this.#startScreen(next);
      this.#column = column;
    }
  }
}

const FULL_SCREEN = 'full-screen program';

function clamped(parameter: string): number {
  return Math.min(Number.parseInt(parameter, 10) || 0, SCREEN_COLUMNS);
}

const BYTE_NAMES = Array.from({ length: 256 }, (_, byte) => `\\x${byte.toString(16).padStart(2, '0')}`);

function byteName(byte: number): string {
  return BYTE_NAMES[byte]!;
}

function codePointName(codePoint: number): string {
  return `U+${codePoint.toString(16).toUpperCase().padStart(4, '0')}`;
}
