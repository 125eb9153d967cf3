import type { Row } from '../log/rows.ts';
import { textOfRow, textOfRows } from '../rows/row-text.ts';
import type { RowWindow } from '../rows/row-window.ts';
import type { LogView } from './log-view.ts';

/** So much is copied at most, in bytes of the file: what somebody selects by hand. */
const MAX_COPIED_BYTES = 8 * 1024 * 1024;

/** One end of a selection: a row, and how many characters of its text are before the end. */
interface SelectionEnd {
  row: Row;
  characters: number;
}

/**
 * Lets a selection live while its rows come and go: those at both ends stay in the document, and what is copied is made of
 * the file's bytes, so that the rows between need not be there.
 */
export class LogSelection {
  readonly #view: LogView;
  readonly #window: RowWindow;
  readonly #tell: (text: string) => void;

  /** `tell` says something to whoever copies. */
  constructor(view: LogView, window: RowWindow, tell: (text: string) => void) {
    this.#view = view;
    this.#window = window;
    this.#tell = tell;
    document.addEventListener('selectionchange', () => this.#keepEnds());
    document.addEventListener('copy', (event) => this.#onCopy(event));
  }

  #keepEnds(): void {
    const { list } = this.#view;
    const { anchorNode = null, focusNode = null, isCollapsed = true } = getSelection() ?? {};
    list.keep(isCollapsed ? [] : [anchorNode, focusNode].filter((node) => node !== null));
  }

  #onCopy(event: ClipboardEvent): void {
    const selection = getSelection();
    if (selection === null || selection.isCollapsed) return;
    const { element } = this.#view.list;
    // Something else is in its place.
    if (!element.checkVisibility()) return;
    // All of the page: all of the text, then, of which only a part is in it.
    if (selection.containsNode(element)) {
      this.#copy(event, 0, this.#view.size, textOfRows);
      return;
    }
    const range = selection.getRangeAt(0);
    const first = this.#endAt(range.startContainer, range.startOffset);
    const last = this.#endAt(range.endContainer, range.endOffset);
    if (first === undefined || last === undefined) return;
    this.#copy(event, first.row.start, last.row.end, (rows) => {
      const text = textOfRows(rows);
      return text.slice(first.characters, text.length - (textOfRow(last.row).length - last.characters));
    });
  }

  /** Copies what is between two positions at which rows begin, or says why that cannot be done. */
  #copy(event: ClipboardEvent, from: number, to: number, textOf: (rows: readonly Row[]) => string): void {
    const tell = this.#tell;
    event.preventDefault();
    if (to - from > MAX_COPIED_BYTES) {
      tell('That is more than can be copied: link its lines, or download the file.');
      return;
    }
    const rows = this.#window.rowsBetween(from, to);
    if ('missing' in rows) {
      tell('What was selected is being read.');
      this.#view.load(rows).then(
        () => tell('What was selected can be copied now.'),
        () => tell('What was selected cannot be read.'),
      );
      return;
    }
    event.clipboardData?.setData('text/plain', textOf(rows));
  }

  /** Undefined for what is not in a row. */
  #endAt(node: Node, offset: number): SelectionEnd | undefined {
    const { list } = this.#view;
    const element = list.elementOf(node);
    const row = element && list.rowOf(element);
    if (element === undefined || row === undefined) return undefined;
    return { row, characters: list.charactersBefore(element, node, offset) };
  }
}
