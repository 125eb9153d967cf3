import type { ReaderFeed } from '../../core/readers/reader.ts';
import type { ActivityMessage } from '../../wire/protocol.ts';

/** How often each follower is told. */
const INTERVAL_MS = 1000;

/** In how many turns: thousands of them in one would hold everybody up. */
const TURNS = 10;

/** Who wants to be told what goes on. */
export interface Reported {
  /** Whether it is over. */
  readonly isOver: boolean;
  /** What it follows; undefined before that is there, and once nothing more comes. */
  readonly feed: Pick<ReaderFeed, 'committed' | 'readerCount'> | undefined;
  tell(message: ActivityMessage): void;
}

/** What a follower was told last. */
interface Report {
  timeMs: number;
  position: number | undefined;
}

/**
 * Tells followers who have asked for it each second what goes on. What is told is looked at then, and nothing is kept for
 * that of a file or of other followers. One timer, which runs only while anybody wants it.
 */
export class ActivityReports {
  readonly #turns: readonly Map<Reported, Report>[] = Array.from({ length: TURNS }, () => new Map());
  #turn = 0;
  #timer: NodeJS.Timeout | undefined;

  /** Tells a follower for as long as it lasts, for the first time after a second. */
  add(follower: Reported): void {
    const report = { timeMs: Date.now(), position: follower.feed?.committed };
    // The one whose turn was just now.
    this.#turns[(this.#turn + TURNS - 1) % TURNS]?.set(follower, report);
    this.#timer ??= setInterval(() => this.#next(), INTERVAL_MS / TURNS).unref();
  }

  #next(): void {
    const reports = this.#turns[this.#turn] as Map<Reported, Report>;
    this.#turn = (this.#turn + 1) % TURNS;
    for (const [follower, last] of reports) {
      if (follower.isOver) reports.delete(follower);
      else reports.set(follower, report(follower, last));
    }
    if (this.#turns.some(({ size }) => size > 0)) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

function report(follower: Reported, last: Report): Report {
  const time = Date.now();
  const { feed } = follower;
  const position = feed?.committed;
  // The clock may have been set back.
  const elapsedSeconds = Math.max(time - last.timeMs, 1) / 1000;
  const come = position === undefined ? 0 : position - (last.position ?? position);
  follower.tell({
    type: 'status',
    time,
    ...(feed !== undefined && {
      position: feed.committed,
      followers: feed.readerCount,
      rate: Math.max(0, Math.round(come / elapsedSeconds)),
    }),
  });
  return { timeMs: time, position };
}
