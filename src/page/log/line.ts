import { cellsOf, MAX_COMBINING_MARKS, trailingMarkCount } from './cell-width.ts';
import { PLAIN, type Style, sameStyle } from './style.ts';

/** A piece of a row that looks the same throughout. */
export interface Span {
  readonly text: string;
  readonly style: Style;
  /** An http or https address that the text is a link to. */
  readonly link: string | undefined;
  /** Not text but what stands for something that cannot be shown: a byte, a control character, a note. */
  readonly chip: boolean;
}

/** A span that knows its place. */
export interface Run extends Span {
  /** How many columns it takes. Of a chip with several each has as much of the text as the others. */
  readonly width: number;
  /** Each UTF-16 unit is one column. */
  readonly narrow: boolean;
  /** Of a chip that stands for marks that are too many for the character before it: how many. */
  readonly excessMarks?: number;
}

/** One row of the terminal: runs side by side, the first at column 0. */
export class Line {
  /** Byte position at which the row begins. */
  readonly start: number;
  /** Line feeds before that. */
  readonly number: number;
  width = 0;
  #runs: Run[] = [];
  #overwritten = false;

  constructor(start: number, number: number) {
    this.start = start;
    this.number = number;
  }

  get isBlank(): boolean {
    return this.width === 0;
  }

  /** Replaces what is at `column` and after it by the run, as far as that is wide. */
  write(column: number, run: Run): void {
    if (column > this.width) this.#append(blank(column - this.width));
    if (column === this.width) {
      this.#append(run);
    } else {
      this.#replace(column, column + run.width, [run]);
    }
  }

  /** Makes `from` to `to` (not included) blank. */
  erase(from: number, to: number): void {
    if (from >= this.width) return;
    if (to >= this.width) this.#replace(from, this.width, []);
    else this.#replace(from, to, [blank(to - from)]);
  }

  /** Takes columns out: what follows moves to the left. */
  remove(column: number, count: number): void {
    if (column < this.width) this.#replace(column, column + count, []);
  }

  /** Puts blank columns in: what follows moves to the right. */
  insert(column: number, count: number): void {
    if (column < this.width) this.#replace(column, column, [blank(count)]);
  }

  /**
   * Adds marks, which have no width, to the character before `column`, as many as it can have. For the others a chip stands
   * behind it.
   *
   * @returns the column behind what they take
   */
  combine(column: number, marks: string): number {
    const index = column > this.width ? -1 : this.#cut(column) - 1;
    const run = this.#runs[index];
    const { text = '', excessMarks = 0 } = run ?? {};
    const characters = Array.from(marks);
    const room = excessMarks > 0 ? 0 : MAX_COMBINING_MARKS - trailingMarkCount(text);
    // Where no character is they are not shown.
    if (run?.chip === false)
      this.#runs[index] = { ...run, text: text + characters.slice(0, room).join(''), narrow: false };
    if (characters.length <= room) return column;
    const chip = chipOfMarks(excessMarks + characters.length - room);
    if (excessMarks > 0) {
      this.#runs[index] = chip;
      return column;
    }
    this.write(column, chip);
    return column + chip.width;
  }

  /** What is in the row; neighbours that look the same are one. */
  get spans(): readonly Span[] {
    if (!this.#overwritten) return this.#runs;
    const spans: { -readonly [K in keyof Span]: Span[K] }[] = [];
    for (const run of this.#runs) {
      const last = spans.at(-1);
      if (last !== undefined && looksLike(last, run)) last.text += run.text;
      else spans.push({ text: run.text, style: run.style, link: run.link, chip: run.chip });
    }
    return spans;
  }

  #append(run: Run): void {
    const last = this.#runs.at(-1);
    this.width += run.width;
    if (last === undefined || !looksLike(last, run)) {
      this.#runs.push(run);
    } else if (last.narrow && run.narrow) {
      this.#runs[this.#runs.length - 1] = {
        ...run,
        text: last.text + run.text,
        width: last.width + run.width,
      };
    } else {
      // Their texts together could be other characters than each alone.
      this.#runs.push(run);
      this.#overwritten = true;
    }
  }

  #replace(from: number, to: number, runs: Run[]): void {
    const first = this.#cut(from);
    const removed = this.#runs.splice(first, this.#cut(Math.min(to, this.width)) - first, ...runs);
    this.width += widthOf(runs) - widthOf(removed);
    this.#overwritten = true;
  }

  /** The index of the run that begins at a column; one that goes across it is cut in two. */
  #cut(column: number): number {
    let start = 0;
    for (let i = 0; i < this.#runs.length; i++) {
      if (start === column) return i;
      const run = this.#runs[i]!;
      if (start + run.width > column) {
        this.#runs.splice(i, 1, ...split(run, column - start));
        return i + 1;
      }
      start += run.width;
    }
    return this.#runs.length;
  }
}

/** Tells whether both look the same. */
export function sameSpans(one: readonly Span[], other: readonly Span[]): boolean {
  return (
    one.length === other.length &&
    one.every((span, index) => span.text === other[index]!.text && looksLike(span, other[index]!))
  );
}

function widthOf(runs: readonly Run[]): number {
  return runs.reduce((sum, run) => sum + run.width, 0);
}

function looksLike(a: Span, b: Span): boolean {
  return a.link === b.link && a.chip === b.chip && sameStyle(a.style, b.style);
}

function chipOfMarks(count: number): Run {
  const text = `+${count.toLocaleString('en')} marks`;
  return { ...blank(1), text, chip: true, narrow: false, excessMarks: count };
}

function blank(width: number): Run {
  return { text: ' '.repeat(width), style: PLAIN, link: undefined, chip: false, width, narrow: true };
}

/** Cuts a run at a column inside it. Of a wide character both halves become blanks. */
function split(run: Run, column: number): [Run, Run] {
  const left = { ...run, width: column };
  const right = { ...run, width: run.width - column };
  if (run.narrow || run.chip) {
    const index = column * (run.text.length / run.width);
    return [
      { ...left, text: run.text.slice(0, index) },
      { ...right, text: run.text.slice(index) },
    ];
  }
  left.text = '';
  right.text = '';
  let start = 0;
  for (const { text, width } of cellsOf(run.text)) {
    const end = start + width;
    if (end <= column) left.text += text;
    else if (start >= column) right.text += text;
    else {
      left.text += ' '.repeat(column - start);
      right.text += ' '.repeat(end - column);
    }
    start = end;
  }
  return [left, right];
}
