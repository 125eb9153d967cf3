import type { SearchMatch } from '../../wire/page-requests.ts';
import type { BlockStore } from '../bytes/block-store.ts';
import type { Row } from '../log/rows.ts';
import type { RowList } from '../rows/row-list.ts';
import { textOfRow } from '../rows/row-text.ts';
import { partsOf, plainText, type TextPart } from './match-text.ts';
import type { SearchResults } from './search-results.ts';

/** Names that the style sheet has. */
const MATCH = 'match';
const CURRENT = 'current-match';

/** Marks matches in the rows that are shown, without a change to the document: a selection in it lives. */
export class MatchHighlight {
  readonly #store: BlockStore;
  readonly #list: RowList;
  /** Browsers without it show the current match by its line alone. */
  readonly #isKnown = 'highlights' in CSS;

  constructor(store: BlockStore, list: RowList) {
    this.#store = store;
    this.#list = list;
  }

  /** Marks what was found in the rows that are shown now. */
  show(results: SearchResults | undefined, current: SearchMatch | undefined): void {
    const others: Range[] = [];
    const own: Range[] = [];
    for (const element of this.#list.element.querySelectorAll<HTMLElement>('.row')) {
      const row = this.#list.rowOf(element);
      const isOf =
        row !== undefined && current !== undefined && current.at >= row.start && current.at < row.end;
      element.classList.toggle('found', isOf);
      if (!this.#isKnown || row === undefined || results === undefined) continue;
      for (const { at, range } of this.#rangesIn(element, row, results))
        (at === current?.at ? own : others).push(range);
    }
    if (!this.#isKnown) return;
    CSS.highlights.set(MATCH, new Highlight(...others));
    CSS.highlights.set(CURRENT, new Highlight(...own));
  }

  #rangesIn(element: HTMLElement, row: Row, results: SearchResults): { at: number; range: Range }[] {
    const found: { at: number; before: number; matched: string }[] = [];
    let before = 0;
    let position = row.start;
    for (let i = results.indexFrom(row.start); i < results.count; i++) {
      const { at, length } = results.at(i)!;
      if (at >= row.end) break;
      const between = this.#store.slice(position, at);
      const matched = this.#store.slice(at, at + length);
      if (between === undefined || matched === undefined) break;
      before += plainText(between).length;
      found.push({ at, before, matched: plainText(matched) });
      before += found.at(-1)!.matched.length;
      position = at + length;
    }
    if (found.length === 0) return [];
    const texts = this.#list.textsOf(element);
    return partsOf(textOfRow(row), found).flatMap((part, i) =>
      rangesOf(texts, part).map((range) => ({ at: found[i]!.at, range })),
    );
  }
}

/** The ranges of a part of a row's text: none of what is not in the document. */
function rangesOf(texts: readonly { text: HTMLElement; start: number }[], { start, end }: TextPart): Range[] {
  return texts.flatMap(({ text, start: before }) => {
    const length = text.textContent.length;
    const from = Math.max(start - before, 0);
    const to = Math.min(end - before, length);
    return from < to ? [rangeOf(text, { start: from, end: to })] : [];
  });
}

/** The range of a part of the text in an element. */
function rangeOf(element: Element, { start, end }: TextPart): Range {
  const range = new Range();
  const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  let at = 0;
  for (let node = walker.nextNode(); node !== null; node = walker.nextNode()) {
    const length = (node as Text).data.length;
    if (start >= at && start <= at + length) range.setStart(node, start - at);
    if (end > at && end <= at + length) {
      range.setEnd(node, end - at);
      break;
    }
    at += length;
  }
  return range;
}
