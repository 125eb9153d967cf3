const TIME = '(?<time>(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d)';

/** What is to be sent, and two older ones that are to be understood (RFC 9110, section 5.6.7). */
const FORMS = [
  new RegExp(`^[A-Z][a-z]{2}, (?<day>\\d\\d) (?<month>[A-Z][a-z]{2}) (?<year>\\d{4}) ${TIME} GMT$`),
  new RegExp(`^[A-Z][a-z]{5,8}, (?<day>\\d\\d)-(?<month>[A-Z][a-z]{2})-(?<year>\\d\\d) ${TIME} GMT$`),
  new RegExp(`^[A-Z][a-z]{2} (?<month>[A-Z][a-z]{2}) (?<day>[ \\d]\\d) ${TIME} (?<year>\\d{4})$`),
];

/** The time that a date of HTTP names, in milliseconds since 1970; `NaN` for what is none, and for days that there are not. */
export function parseHttpDate(text: string): number {
  for (const form of FORMS) {
    const { day, month, year, time } = form.exec(text)?.groups ?? {};
    if (day === undefined) continue;
    const timeMs = Date.parse(`${day} ${month} ${year} ${time} GMT`);
    return new Date(timeMs).getUTCDate() === Number(day) ? timeMs : Number.NaN;
  }
  return Number.NaN;
}
