import type { BlockStore } from '../bytes/block-store.ts';
import { INITIAL_STATE, stateAfter, type TerminalState } from '../log/pen.ts';
import { rowStartBefore } from '../log/pseudo-lines.ts';
import type { Row, Screen } from '../log/rows.ts';

/**
 * How many bytes before the first row that is shown are read with it: programs that go up and overwrite lines rarely
 * reach further back.
 */
const CONTEXT_BYTES = 16 * 1024;

/** So far before the first row it is looked for what is open there, as far as that is here: nothing is loaded for it. */
const MAX_STATE_BYTES = 256 * 1024;

/** So far before a place it can always be said where a row begins. */
const LOOK_BACK_BYTES = 160 * 1024;

/** So many windows are kept: with folded groups, or very long rows, one look may need several. */
const MAX_RECENT = 32;

/** They have so many rows and spans together: some 30 MB, and more than a look at rows of thousands of colours has. */
const MAX_RECENT_PIECES = 300_000;

/** So many bytes before a place, and behind it, are looked at for rows at most: it takes milliseconds, whatever they are. */
const MAX_REACH_BYTES = 256 * 1024;

/** A row, and the position from which its `line` is counted. */
export interface PlacedRow extends Row {
  readonly origin: number;
}

/** Rows that follow one another, around a place in the file. */
export interface RowRun {
  readonly rows: readonly PlacedRow[];
  /** Which of the rows holds the place; `rows.length` if it is behind all of them. */
  readonly at: number;
  /** Whether nothing is before the first row. */
  readonly isTop: boolean;
  /** Whether nothing is behind the last row. */
  readonly isEnd: boolean;
  /** Whether a program that draws on the whole screen was seen. */
  readonly fullScreen: boolean;
  /** Why there are fewer rows than were asked for: bytes are missing, or it would have taken too long at once. */
  readonly lacks?: MissingBytes | 'time' | undefined;
}

/**
 * Makes rows of bytes, the first of which is at a position where a row begins: as `rowsOf` of a log does. `state` is what is
 * open before them, as far as it was looked.
 */
export type RowsOf = (
  bytes: Uint8Array,
  at: number,
  state: TerminalState,
) => Pick<Screen, 'rows' | 'fullScreen'>;

/** How many characters of a row's text the bytes are with which it begins, the first of them at `at`. */
export type CharactersIn = (bytes: Uint8Array, at: number) => number;

/** Bytes that must be loaded before there are rows. */
export interface MissingBytes {
  readonly missing: readonly [from: number, to: number];
}

/** What was made of the bytes to before `to`. */
interface Rendered {
  to: number;
  run: Omit<RowRun, 'at'>;
  /** How many rows and spans they are: what they take of memory. */
  pieces: number;
  /** Whether no more rows are made before these, or behind them, at once. */
  isFull: { before: boolean; after: boolean };
}

/** Makes rows of the bytes around a place: as many as are asked for, from little more than they need. */
export class RowWindow {
  readonly #store: BlockStore;
  readonly #rowsOf: RowsOf;
  readonly #charactersIn: CharactersIn | undefined;
  /** The last ones first. */
  #recent: Rendered[] = [];
  /** What was found to be open at a position, the last time. */
  #opened = { position: 0, state: INITIAL_STATE };

  /** Without `charactersIn` nobody knows where in a row a byte is. */
  constructor(store: BlockStore, rowsOf: RowsOf, charactersIn?: CharactersIn) {
    this.#store = store;
    this.#rowsOf = rowsOf;
    this.#charactersIn = charactersIn;
  }

  /** Forgets the rows that it has made: others would be made of the same bytes now. */
  forget(): void {
    this.#recent = [];
  }

  /**
   * Gives at least `before` rows before the one that holds `position`, and `after` from it on, as far as the file has
   * as many; fewer when they are very long. The next ones are around the place where these begin or end.
   */
  around(position: number, before: number, after: number): RowRun | MissingBytes {
    const { size } = this.#store;
    for (const rendered of this.#recent) {
      const run = enough(rendered, position, before, after, size);
      if (run !== undefined) return run;
    }
    // In most files a line begins soon.
    let lead = CONTEXT_BYTES;
    let back = 2 * CONTEXT_BYTES;
    let ahead = CONTEXT_BYTES;
    for (;;) {
      const from = Math.max(0, position - back - lead);
      const to = Math.min(size, position + ahead);
      const bytes = this.#store.slice(from, to);
      if (bytes === undefined) return { missing: [from, to] };
      const origin = rowStartBefore(bytes, from, from === 0 ? 0 : from + lead);
      if (origin === undefined) {
        lead = LOOK_BACK_BYTES;
        continue;
      }
      const isFull = { before: back >= MAX_REACH_BYTES, after: ahead >= MAX_REACH_BYTES };
      const rendered = { ...render(this.#screenOf(bytes, from, origin), origin, to, size), isFull };
      const run = runAt(rendered, position);
      const [first] = run.rows;
      const isCovered = run.isTop || (first !== undefined && first.start <= position);
      const lacksBefore = !isCovered || (run.at < before && !run.isTop);
      const lacksAfter = run.rows.length - run.at < after && !run.isEnd;
      if ((isFull.before || !lacksBefore) && (isFull.after || !lacksAfter)) {
        this.#keep(rendered);
        return run;
      }
      if (lacksBefore) back = reachFor(before, run.at, back);
      if (lacksAfter) ahead = reachFor(after, run.rows.length - run.at, ahead);
    }
  }

  #keep(rendered: Rendered): void {
    let room = MAX_RECENT_PIECES - rendered.pieces;
    const others = this.#recent.slice(0, MAX_RECENT - 1).filter(({ pieces }) => {
      room -= pieces;
      return room >= 0;
    });
    this.#recent = [rendered, ...others];
  }

  /** The rows from `from` to before `to`, which are where rows begin and end. */
  rowsBetween(from: number, to: number): readonly Row[] | MissingBytes {
    const start = Math.max(0, from - LOOK_BACK_BYTES);
    const bytes = this.#store.slice(start, to);
    if (bytes === undefined) return { missing: [start, to] };
    const origin = rowStartBefore(bytes, start, Math.max(0, from - CONTEXT_BYTES)) ?? from;
    const { rows } = this.#screenOf(bytes, start, origin);
    return rows.filter((row) => row.start >= from);
  }

  /**
   * How many characters of a row's text its bytes before `position` are; 0 as long as these are not here, undefined when
   * nobody knows.
   */
  charactersBefore({ start }: Row, position: number): number | undefined {
    if (this.#charactersIn === undefined) return undefined;
    const bytes = position > start ? this.#store.slice(start, position) : undefined;
    return bytes === undefined ? 0 : this.#charactersIn(bytes, start);
  }

  /** Makes rows of what is behind `origin` in bytes that begin at `from`. */
  #screenOf(bytes: Uint8Array, from: number, origin: number): ReturnType<RowsOf> {
    return this.#rowsOf(bytes.subarray(origin - from), origin, this.#stateAt(origin));
  }

  /** What is open at a position by what is here before it. Who follows, or goes down, goes on from what was open there before. */
  #stateAt(position: number): TerminalState {
    const { position: known, state } = this.#opened;
    const isNear = known <= position && known >= position - MAX_STATE_BYTES;
    const from = isNear ? known : Math.max(0, position - MAX_STATE_BYTES);
    const bytes = this.#store.sliceBefore(position, from);
    const isAll = bytes.length === position - from;
    this.#opened = { position, state: stateAfter(bytes, isNear && isAll ? state : INITIAL_STATE) };
    return this.#opened.state;
  }
}

function render(
  { rows, fullScreen }: ReturnType<RowsOf>,
  origin: number,
  to: number,
  size: number,
): Omit<Rendered, 'isFull'> {
  const isTop = origin === 0;
  const isEnd = to >= size;
  // What is before the first of these may still change them, and the last one goes on behind the bytes.
  const first = isTop ? 0 : rows.findIndex((row) => row.start >= origin + CONTEXT_BYTES);
  const trusted = rows.slice(first < 0 ? rows.length - 1 : first, isEnd ? rows.length : -1);
  const pieces = trusted.reduce((sum, { spans }) => sum + 1 + spans.length, 0);
  return { to, pieces, run: { rows: trusted.map((row) => ({ ...row, origin })), isTop, isEnd, fullScreen } };
}

/** In how many bytes there are as many rows as are wanted, by how many were found in so many; at least twice as many. */
function reachFor(wanted: number, found: number, bytes: number): number {
  return Math.min(MAX_REACH_BYTES, bytes * Math.max(2, Math.ceil((1.25 * wanted) / Math.max(1, found))));
}

function runAt({ run }: Rendered, position: number): RowRun {
  return { ...run, at: indexOfRow(run.rows, position) };
}

/** What was rendered last, if it will do for this place, too. */
function enough(last: Rendered, position: number, before: number, after: number, size: number) {
  const { isFull } = last;
  const { rows, isEnd } = last.run;
  if (isEnd && last.to !== size) return undefined;
  const end = isEnd ? size + 1 : (rows.at(-1)?.end ?? 0);
  if (position < (rows[0]?.start ?? size) || position >= end) return undefined;
  const run = runAt(last, position);
  const hasBefore = run.at >= before || run.isTop || isFull.before;
  const hasAfter = run.rows.length - run.at >= after || run.isEnd || isFull.after;
  return hasBefore && hasAfter ? run : undefined;
}

/** The index of the last row that begins at `position` or before it: 0 if none does. */
function indexOfRow(rows: readonly Row[], position: number): number {
  let low = 0;
  let high = rows.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (rows[middle]!.start <= position) low = middle + 1;
    else high = middle;
  }
  return Math.max(low - 1, 0);
}
