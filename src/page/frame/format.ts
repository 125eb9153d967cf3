const BINARY_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** Clocks of two machines differ by so much without anybody caring, in milliseconds. */
const CLOCK_SKEW_MS = MINUTE_MS;

/** After this an age says less than a date, in milliseconds. */
const MAX_AGE_MS = 30 * DAY_MS;

/** Formats a whole number with a comma after each three digits: `1,234,567`. */
export function formatCount(count: number): string {
  return String(count).replace(/\B(?=(\d{3})+$)/g, ',');
}

/** Formats a number of bytes in binary units, with one decimal from KiB on: `0 B`, `1.5 KiB`, `2.0 GiB`. */
export function formatBytes(bytes: number): string {
  let unit = 0;
  let value = bytes;
  // What would be rounded to 1,024.0 is 1.0 of the next unit.
  while (value >= (unit === 0 ? 1024 : 1023.95) && unit < BINARY_UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  if (unit === 0) return `${value} B`;
  const [whole, decimal] = value.toFixed(1).split('.');
  return `${formatCount(Number(whole))}.${decimal} ${BINARY_UNITS[unit]}`;
}

/**
 * Formats how long ago something was: `now`, `12 s ago`, `3 min ago`, `5 h ago`, `2 d ago`; its date
 * (`2026-03-01`, UTC) after 30 days, and for what is further in the future than clocks differ.
 *
 * @param atMs when it was, in milliseconds since 1970
 * @param nowMs what time it is, by the clock that said `atMs`
 */
export function formatAge(atMs: number, nowMs: number): string {
  const age = nowMs - atMs;
  if (!hasAge(age)) return formatDate(atMs);
  if (age < SECOND_MS) return 'now';
  if (age < MINUTE_MS) return `${Math.floor(age / SECOND_MS)} s ago`;
  if (age < HOUR_MS) return `${Math.floor(age / MINUTE_MS)} min ago`;
  if (age < DAY_MS) return `${Math.floor(age / HOUR_MS)} h ago`;
  return `${Math.floor(age / DAY_MS)} d ago`;
}

/** Formats how long something took: `0.4 s`, `12 s`, `3 min 5 s`, `2 h 10 min`. */
export function formatDuration(durationMs: number): string {
  if (durationMs < 10 * SECOND_MS) return `${(durationMs / SECOND_MS).toFixed(1)} s`;
  const seconds = Math.round(durationMs / SECOND_MS);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
  return `${formatCount(Math.floor(minutes / 60))} h ${minutes % 60} min`;
}

/** In how many milliseconds {@link formatAge} says something else; Infinity for a date. */
export function ageLastsMs(atMs: number, nowMs: number): number {
  const age = nowMs - atMs;
  if (!hasAge(age)) return Number.POSITIVE_INFINITY;
  const step =
    [SECOND_MS, MINUTE_MS, HOUR_MS].find((unit) => age < unit * (unit === HOUR_MS ? 24 : 60)) ?? DAY_MS;
  return age < 0 ? SECOND_MS - age : step - (age % step);
}

/** Formats a time in full, UTC, to the second: `2026-03-01 12:30:05 UTC`; `?` for what is no time. */
export function formatTime(atMs: number): string {
  const iso = isoTime(atMs);
  return iso === undefined ? '?' : `${iso.slice(0, -5).replace('T', ' ')} UTC`;
}

/** Whether how long ago something was is told in words: false for what is no time, too. */
function hasAge(ageMs: number): boolean {
  return ageMs >= -CLOCK_SKEW_MS && ageMs < MAX_AGE_MS;
}

function formatDate(atMs: number): string {
  return isoTime(atMs)?.slice(0, -14) ?? '?';
}

/** Undefined for what no date can say. */
function isoTime(atMs: number): string | undefined {
  const date = new Date(atMs);
  return Number.isNaN(date.getTime()) ? undefined : date.toISOString();
}
