import { CLOCK_TICK_MS } from '../../core/open-file.ts';

/** Other than a second that is over, the present one may see another change, which no date would tell. */
const SECOND_MS = 1000;

/** Age from which on a date tells bytes from others reliably (RFC 9110, section 8.8.2.2). */
const STRONG_AGE_MS = 60_000;

/**
 * When a file was changed for the last time, in the whole seconds of HTTP, and
 * what can be concluded from that (RFC 9110, section 8.8.2): nothing until the
 * second of the change is over, and nothing from a file in which there is more
 * than what is sent.
 *
 * As long as nothing can be concluded, clients are told a date that no later
 * state of the file has. So who was served in the second of a change never
 * takes its copy for the newest one.
 */
export class LastModified {
  /** What the `Last-Modified` header says. */
  readonly header: string;
  readonly #timeMs: number;
  readonly #isSettled: boolean;
  /** Beginning of the newest second that is over. */
  readonly #overMs: number;
  readonly #nowMs: number;

  /**
   * @param changedMs time of the last change, in milliseconds since 1970
   * @param isWhole whether all of the file is sent
   * @param nowMs time of the answer
   */
  constructor(changedMs: number, isWhole: boolean, nowMs: number) {
    this.#nowMs = nowMs;
    this.#overMs = wholeSecond(nowMs - CLOCK_TICK_MS) - SECOND_MS;
    this.#timeMs = wholeSecond(changedMs);
    this.#isSettled = isWhole && this.#timeMs <= this.#overMs;
    const sentMs = this.#isSettled ? this.#timeMs : Math.min(this.#timeMs - SECOND_MS, this.#overMs);
    this.header = httpDate(sentMs);
  }

  /** Whether nothing was changed after a date, be it one to come (`If-Unmodified-Since`); false for what is no date. */
  isNotAfter(date: string): boolean {
    return this.#timeMs <= parseHttpDate(date);
  }

  /**
   * Whether a client that names this date has what is sent; false for what is no date, or one whose second is not
   * over.
   */
  isUnchangedSince(date: string): boolean {
    const sinceMs = parseHttpDate(date);
    return this.#isSettled && this.#timeMs <= sinceMs && sinceMs <= this.#overMs;
  }

  /** Whether a part that was got under this date goes together with what is sent now. */
  isStronglyEqualTo(date: string): boolean {
    return this.#isSettled && date === this.header && this.#timeMs + STRONG_AGE_MS <= this.#nowMs;
  }
}

/** The last one: the same file is often asked for again and again. */
let last = { timeMs: 0, text: new Date(0).toUTCString() };

function httpDate(timeMs: number): string {
  if (last.timeMs !== timeMs) last = { timeMs, text: new Date(timeMs).toUTCString() };
  return last.text;
}

function wholeSecond(timeMs: number): number {
  return Math.floor(timeMs / SECOND_MS) * SECOND_MS;
}

const TIME = '(?<time>(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d)';

/** The one that is sent, and two obsolete ones that must be understood (RFC 9110, section 5.6.7). */
const FORMS = [
  new RegExp(`^[A-Z][a-z]{2}, (?<day>\\d\\d) (?<month>[A-Z][a-z]{2}) (?<year>\\d{4}) ${TIME} GMT$`),
  new RegExp(`^[A-Z][a-z]{5,8}, (?<day>\\d\\d)-(?<month>[A-Z][a-z]{2})-(?<year>\\d\\d) ${TIME} GMT$`),
  new RegExp(`^[A-Z][a-z]{2} (?<month>[A-Z][a-z]{2}) (?<day>[ \\d]\\d) ${TIME} (?<year>\\d{4})$`),
];

/** Parses a date of HTTP to milliseconds since 1970; `NaN` for a malformed one, and for a day that does not exist. */
export function parseHttpDate(text: string): number {
  for (const form of FORMS) {
    const { day, month, year, time } = form.exec(text)?.groups ?? {};
    if (day === undefined) continue;
    const timeMs = Date.parse(`${day} ${month} ${year} ${time} GMT`);
    return new Date(timeMs).getUTCDate() === Number(day) ? timeMs : Number.NaN;
  }
  return Number.NaN;
}
