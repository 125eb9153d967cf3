/** RFC 3339, section 5.6. */
const TIMESTAMP = /^(?<day>\d{4}-\d\d-\d\d)T([01]\d|2[0-3]):\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/i;

/** Whether a text is a date and time of RFC 3339, and there is such a time. */
export function isTimestamp(text: string): boolean {
  const day = TIMESTAMP.exec(text)?.groups?.day;
  return day !== undefined && isDay(day) && !Number.isNaN(Date.parse(text));
}

/**
 * Whether there is such a day: JavaScript takes the 31st of February for the 3rd of March.
 *
 * @param day as `2030-01-31`
 */
export function isDay(day: string): boolean {
  const date = new Date(day);
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(day);
}
