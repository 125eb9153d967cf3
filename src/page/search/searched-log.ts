import type { BlockStore } from '../bytes/block-store.ts';
import type { LineIndex } from '../bytes/line-index.ts';
import type { RowList } from '../rows/row-list.ts';
import type { Search } from './search-stream.ts';

/** What is searched, and where it is shown. */
export interface SearchedLog {
  readonly search: Search;
  readonly store: BlockStore;
  readonly index: LineIndex;
  readonly list: RowList;
  /** What shows the log: of a filter its lines take this place. */
  readonly element: HTMLElement;
  /** Goes to what is at a position, with some rows before it in view. */
  goTo(position: number): void;
  /** Says something for some seconds. */
  tell(text: string): void;
}
