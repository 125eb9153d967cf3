import type { GroupOutline } from '../groups/group-outline.ts';
import type { Row } from '../log/rows.ts';
import type { MissingBytes, PlacedRow, RowRun, RowWindow } from './row-window.ts';

/** Over so many folded groups, or places in long rows, rows are looked for at most, for one look. */
const MAX_JUMPS = 100;

/** After so long a look ends with the rows that it has by then, in milliseconds: the next one has the others. */
export const LOOK_MS = 30;

/** As many rows of a window as are wanted, but none of those of folded groups, however large these and the rows are. */
export class FoldedRows {
  readonly #window: RowWindow;
  readonly #outline: GroupOutline;

  constructor(window: RowWindow, outline: GroupOutline) {
    this.#window = window;
    this.#outline = outline;
  }

  /** As {@link RowWindow.forget}. */
  forget(): void {
    this.#window.forget();
  }

  /** As {@link RowWindow.charactersBefore}. */
  charactersBefore(row: Row, position: number): number | undefined {
    return this.#window.charactersBefore(row, position);
  }

  /**
   * As {@link RowWindow.around}, and goes on for more rows: there are fewer only when they take long, or are still to be
   * loaded. A place within a folded group is at its header.
   *
   * @param deadlineMs when it ends, of `performance.now()`. Default: {@link LOOK_MS} from now
   */
  around(
    position: number,
    before: number,
    after: number,
    deadlineMs = performance.now() + LOOK_MS,
  ): RowRun | MissingBytes {
    const folded = this.#outline.hiddenAround(position);
    const run = this.#window.around(folded === undefined ? position : folded.from - 1, before, after);
    if ('missing' in run) return run;
    const below = this.#below(run, after, deadlineMs);
    const above = this.#above(run, before, deadlineMs);
    return {
      rows: [...above.rows, ...below.rows],
      at: above.rows.length,
      isTop: above.isTop,
      isEnd: below.isEnd,
      fullScreen: run.fullScreen,
      lacks: below.lacks ?? above.lacks,
    };
  }

  #above(run: RowRun, wanted: number, deadlineMs: number): Pick<RowRun, 'rows' | 'isTop' | 'lacks'> {
    let rows = this.#shown(run.rows.slice(0, run.at));
    let { isTop } = run;
    let reached = run.rows[0]?.start ?? 0;
    for (let jumps = 0; rows.length < wanted && !isTop && jumps < MAX_JUMPS; jumps++) {
      if (performance.now() > deadlineMs) return { rows, isTop, lacks: 'time' };
      const folded = this.#outline.hiddenAround(reached - 1);
      const next = this.#window.around((folded?.from ?? reached) - 1, wanted - rows.length, 1);
      if ('missing' in next) return { rows, isTop, lacks: next };
      rows = [...this.#shown(next.rows.slice(0, next.at + 1)), ...rows];
      isTop = next.isTop;
      reached = next.rows[0]?.start ?? 0;
    }
    return { rows, isTop };
  }

  #below(run: RowRun, wanted: number, deadlineMs: number): Pick<RowRun, 'rows' | 'isEnd' | 'lacks'> {
    let rows = this.#shown(run.rows.slice(run.at));
    let { isEnd } = run;
    let reached = run.rows.at(-1)?.end ?? 0;
    for (let jumps = 0; rows.length < wanted && !isEnd && jumps < MAX_JUMPS; jumps++) {
      if (performance.now() > deadlineMs) return { rows, isEnd, lacks: 'time' };
      const next = this.#window.around(
        this.#outline.hiddenAround(reached)?.to ?? reached,
        0,
        wanted - rows.length,
      );
      if ('missing' in next) return { rows, isEnd, lacks: next };
      const more = next.rows.slice(next.at).filter(({ start }) => start >= reached);
      rows = [...rows, ...this.#shown(more)];
      isEnd = next.isEnd;
      reached = more.at(-1)?.end ?? reached;
    }
    return { rows, isEnd };
  }

  #shown(rows: readonly PlacedRow[]): PlacedRow[] {
    return rows.filter(({ start }) => this.#outline.hiddenAround(start) === undefined);
  }
}
