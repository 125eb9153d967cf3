import type { Arrivals } from '../bytes/arrivals.ts';
import { formatDuration } from '../frame/format.ts';
import type { GroupOutline } from '../groups/group-outline.ts';
import type { RowNotes } from '../rows/row-element.ts';
import type { PlacedRow } from '../rows/row-window.ts';
import type { LineRange } from './permalink.ts';

/** Says how many line feeds are before a position of the file; undefined as long as that is not known. */
export type LineAt = (position: number) => number | undefined;

/** So many positions are remembered. */
const MAX_ORIGINS = 100;

/** What is known of the rows of a log, besides their text. */
export class RowNotesSource {
  readonly #lineAt: LineAt;
  readonly #linked: () => LineRange | undefined;
  readonly #arrivals: Arrivals;
  /** By the positions from which rows are counted: there are few for many rows. */
  readonly #lines = new Map<number, number>();
  readonly #outline: GroupOutline;

  constructor(
    lineAt: LineAt,
    linked: () => LineRange | undefined,
    arrivals: Arrivals,
    outline: GroupOutline,
  ) {
    this.#lineAt = lineAt;
    this.#linked = linked;
    this.#arrivals = arrivals;
    this.#outline = outline;
  }

  /** The number of a row's line, counted from 0; undefined as long as it is not known. */
  lineOf({ origin, line }: PlacedRow): number | undefined {
    let before = this.#lines.get(origin);
    if (before === undefined) {
      before = this.#lineAt(origin);
      if (before === undefined) return undefined;
      if (this.#lines.size >= MAX_ORIGINS) this.#lines.clear();
      this.#lines.set(origin, before);
    }
    return before + line;
  }

  of(row: PlacedRow): RowNotes {
    const line = this.lineOf(row);
    const [first = 0, last = -1] = this.#linked() ?? [];
    const time = this.#arrivals.of(row.end - 1);
    return {
      number: line === undefined ? '' : String(line + 1),
      time: time === undefined ? '' : clockTime(time),
      isLinked: line !== undefined && line >= first && line <= last,
      group: this.#groupAt(row.start),
    };
  }

  #groupAt(start: number): RowNotes['group'] {
    const group = this.#outline.headerAt(start);
    if (group === undefined || (group.end !== undefined && group.end <= group.bodyStart)) return undefined;
    const { title, isFailed, durationMs } = group;
    const took = durationMs === undefined ? '' : formatDuration(durationMs);
    return { title, isFailed, isFolded: this.#outline.isFolded(group), took };
  }
}

/** Made when a time is first shown: that takes milliseconds, for which the first screen would wait. */
let clock: Intl.DateTimeFormat | undefined;

function clockTime(timeMs: number): string {
  clock ??= new Intl.DateTimeFormat(undefined, {
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    hourCycle: 'h23',
  });
  return clock.format(timeMs);
}
