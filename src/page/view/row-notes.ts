import type { Arrivals } from '../bytes/arrivals.ts';
import { formatDuration } from '../frame/format.ts';
import type { GroupOutline } from '../groups/group-outline.ts';
import type { LineRange } from './permalink.ts';
import type { RowNotes } from './row-element.ts';
import type { PlacedRow } from './row-window.ts';

/** Says how many line feeds are before a position of the file; undefined as long as that is not known. */
export type LineAt = (position: number) => number | undefined;

/** What is known of the rows of a log, besides their text. */
export class RowNotesSource {
  linked: LineRange | undefined;
  readonly #lineAt: LineAt;
  readonly #arrivals: Arrivals;
  readonly #outline: GroupOutline;

  constructor(lineAt: LineAt, arrivals: Arrivals, outline: GroupOutline) {
    this.#lineAt = lineAt;
    this.#arrivals = arrivals;
    this.#outline = outline;
  }

  of(row: PlacedRow): RowNotes {
    const before = this.#lineAt(row.origin);
    const line = before === undefined ? undefined : before + row.line;
    const [first = 0, last = -1] = this.linked ?? [];
    const time = this.#arrivals.of(row.end - 1);
    return {
      number: line === undefined ? '' : String(line + 1),
      time: time === undefined ? '' : CLOCK.format(time),
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

const CLOCK = new Intl.DateTimeFormat(undefined, {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  hourCycle: 'h23',
});
