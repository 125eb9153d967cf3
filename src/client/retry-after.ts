import type { IncomingMessage } from 'node:http';

/** More than that nobody is left alone. */
const MAX_MS = 3_600_000;

/**
 * How long a server wants to be left alone, in milliseconds, at most an hour (RFC
 * 9110, section 10.2.3); undefined when it does not say, or says what makes no sense.
 */
export function retryAfterOf({ headers }: IncomingMessage): number | undefined {
  const text = headers['retry-after']?.trim() ?? '';
  const isDate = text.endsWith('GMT');
  if (!isDate && !/^\d+$/.test(text)) return undefined;
  const delayMs = isDate ? Date.parse(text) - Date.now() : Number(text) * 1000;
  return Number.isNaN(delayMs) ? undefined : Math.min(Math.max(0, delayMs), MAX_MS);
}
