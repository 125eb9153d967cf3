import { type IBufferCell, type IBufferLine, Terminal } from '@xterm/headless';
import { cellsOf } from '../../../src/page/log/cell-width.ts';
import type { Row } from '../../../src/page/log/rows.ts';
import { type Colour, TRUE_COLOUR } from '../../../src/page/log/style.ts';

/** A character that is not blank, where it is and how it looks: `column:text:look`. */
export type ShownCell = string;

/** A terminal that is known to be right, of so many columns that nothing is wrapped unless said. */
export class OracleTerminal {
  readonly #terminal: Terminal;

  /** @param rows how many the cursor can reach */
  constructor(rows: number, columns: number) {
    this.#terminal = new Terminal({
      rows,
      cols: columns,
      scrollback: 100_000,
      convertEol: true,
      allowProposedApi: true,
    });
  }

  /**
   * What all rows show after some bytes on a terminal that is blank.
   *
   * @param start the row in which the cursor is before them, from 1
   */
  async show(bytes: Uint8Array, start = 1): Promise<ShownCell[][]> {
    // All that one look can leave to the next. A real reset takes milliseconds.
    this.#terminal.write(`\x1b[3J\x1b[!p\x1b[2J\x1b[${start}H`);
    await new Promise<void>((resolve) => this.#terminal.write(bytes, resolve));
    const { normal } = this.#terminal.buffer;
    const rows: ShownCell[][] = [];
    for (let index = 0; index < normal.length; index++) {
      const line = normal.getLine(index)!;
      if (line.isWrapped) rows.at(-1)!.push(...cellsIn(line, this.#terminal.cols));
      else rows.push(cellsIn(line, 0));
    }
    return withoutBlankEnd(rows);
  }
}

/** What rows of ours show, in the oracle's terms. Chips are a character that it has for invalid bytes. */
export function shownCells(rows: readonly Row[]): ShownCell[][] {
  return withoutBlankEnd(
    rows.map(({ spans }) => {
      const shown: ShownCell[] = [];
      let column = 0;
      for (const { text, style, link, chip } of spans) {
        const { fg, bg, bold, dim, italic, underline, inverse, strike } = style;
        // The oracle underlines what is a link, and says nothing else of it.
        const isUnderlined = underline || link !== undefined;
        const look = lookOf(fg, bg, [bold, dim, italic, isUnderlined, inverse, strike]);
        for (const cell of cellsOf(chip ? '\ufffd' : text)) {
          if (cell.text.trim() !== '') shown.push(`${column}:${cell.text}:${look}`);
          column += cell.width;
        }
      }
      return shown;
    }),
  );
}

function withoutBlankEnd(rows: ShownCell[][]): ShownCell[][] {
  return rows.slice(0, rows.findLastIndex((row) => row.length > 0) + 1);
}

function cellsIn(line: IBufferLine, offset: number): ShownCell[] {
  const shown: ShownCell[] = [];
  const end = line.translateToString(true).length * 2;
  let cell: IBufferCell | undefined;
  for (let column = 0; column < Math.min(line.length, end); column++) {
    cell = line.getCell(column, cell)!;
    const text = cell.getChars();
    if (text.trim() === '') continue;
    const look = lookOf(
      colourOf(cell.isFgDefault(), cell.isFgRGB(), cell.getFgColor()),
      colourOf(cell.isBgDefault(), cell.isBgRGB(), cell.getBgColor()),
      [
        cell.isBold(),
        cell.isDim(),
        cell.isItalic(),
        cell.isUnderline(),
        cell.isInverse(),
        cell.isStrikethrough(),
      ],
    );
    shown.push(`${offset + column}:${text}:${look}`);
  }
  return shown;
}

function colourOf(isDefault: boolean, isTrueColour: boolean, value: number): Colour | undefined {
  if (isDefault) return undefined;
  return isTrueColour ? TRUE_COLOUR | value : value;
}

function lookOf(
  fg: Colour | undefined,
  bg: Colour | undefined,
  flags: readonly (boolean | number)[],
): string {
  return `${fg ?? ''},${bg ?? ''},${flags.map((flag) => (flag ? 1 : 0)).join('')}`;
}
