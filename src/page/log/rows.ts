import type { Span } from './line.ts';
import { INITIAL_STATE, type TerminalState } from './pen.ts';
import { cutsIn } from './pseudo-lines.ts';
import { Terminal } from './terminal.ts';

/** What one row shows, and which bytes it stands for. */
export interface Row {
  /** Byte position in the resource of the first byte. */
  readonly start: number;
  /** Position behind the last byte, the line end included: where the next row begins. */
  readonly end: number;
  /** Line feeds between the beginning of the window and this row. */
  readonly line: number;
  readonly spans: readonly Span[];
}

/** What a terminal shows of some bytes. The rows follow each other without a gap. */
export interface Screen {
  readonly rows: readonly Row[];
  /** What is open at the end: for the bytes that follow. */
  readonly end: TerminalState;
  /** A full-screen program wrote here, of which no rows can be made. */
  readonly fullScreen: boolean;
}

/**
 * The rows that a terminal of any width shows of these bytes of a resource.
 *
 * Lines that are drawn over (CR, cursor up) are shown as they are at the end; nothing reaches
 * back further than 200 rows. Lines without LF are cut as `cutsIn` says. Invalid UTF-8,
 * control characters and what would reorder text are chips. Links are http and https ones only.
 *
 * @param at position of the first byte, at which a row should begin (`rowStartBefore`)
 * @param state what is open before it
 */
export function rowsOf(bytes: Uint8Array, at: number, state: TerminalState = INITIAL_STATE): Screen {
  const terminal = new Terminal(bytes, at, state);
  let from = 0;
  for (const cut of cutsIn(bytes, at)) {
    terminal.run(from, cut - at);
    from = cut - at;
    if (!terminal.state.alternate) terminal.startRow(from);
  }
  terminal.run(from, bytes.length);
  return { rows: rowsIn(terminal, at + bytes.length), end: terminal.state, fullScreen: terminal.fullScreen };
}

function rowsIn({ lines, row }: Terminal, end: number): Row[] {
  // Rows at and below the cursor in which nothing is: behind the last line feed, or cleared for good.
  let count = lines.length;
  while (count > row && lines[count - 1]!.isBlank) count--;
  return lines.slice(0, count).map(({ start, number, spans }, index) => ({
    start,
    end: index + 1 < count ? lines[index + 1]!.start : end,
    line: number,
    spans,
  }));
}
