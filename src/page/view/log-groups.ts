import { LF } from '../bytes/line-feeds.ts';
import { readBytesOf } from '../bytes/read-bytes.ts';
import type { LiveFile } from '../file/live-file.ts';
import { GroupOutline, MAX_GROUP_MARKS } from '../groups/group-outline.ts';
import { type FindMarks, MarkFinder } from '../groups/mark-finder.ts';
import { MARK_EXPRESSION, marksIn } from '../groups/marks.ts';
import { rowsOf } from '../log/rows.ts';
import type { RowsOf } from '../rows/row-window.ts';
import { type SearchText, searchOf } from '../search/search-stream.ts';
import type { LogRows } from './log-page.ts';
import { charactersInText } from './text-rows.ts';

const MARKS: SearchText = { text: MARK_EXPRESSION, mode: 'regex', case: 'sensitive', per: 'line' };

/** The rows of a log, as a terminal would show them; and its groups: learnt from what is read for that, and of the rest by a search. */
export class LogGroups implements LogRows {
  readonly outline = new GroupOutline();
  readonly rowsOf: RowsOf = (bytes, at, state) => {
    this.#learn(bytes, at);
    return rowsOf(bytes, at, state);
  };
  readonly charactersIn = charactersInText;
  readonly #finder: MarkFinder;

  /**
   * @param file whose rows these are
   * @param found called when the search has found more
   */
  constructor({ request }: LiveFile, found: () => void) {
    const search = searchOf(request);
    const find: FindMarks = (from, signal) =>
      search(MARKS, { from, direction: 'forward', limit: MAX_GROUP_MARKS }, signal);
    this.#finder = new MarkFinder(this.outline, find, readBytesOf(request), found);
  }

  /** Learns which groups begin and end in these bytes. `at` is the position of the first. */
  #learn(bytes: Uint8Array, at: number): void {
    // A row may begin within a line: only whole lines tell all.
    const first = at === 0 ? 0 : bytes.indexOf(LF) + 1;
    const end = bytes.lastIndexOf(LF) + 1;
    if (first >= end) return;
    const lines = bytes.subarray(first, end);
    this.outline.learn({ from: at + first, to: at + end }, marksIn(lines, at + first));
    this.#finder.look();
  }
}
