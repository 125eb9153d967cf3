import type { IncomingMessage } from 'node:http';

/**
 * How long a server wants to be left alone, in milliseconds (RFC 9110, section
 * 10.2.3); undefined when it does not say, or says what makes no sense.
 */
export function retryAfterOf({ headers }: IncomingMessage): number | undefined {
  const text = headers['retry-after']?.trim() ?? '';
  const delayMs = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return Number.isFinite(delayMs) ? Math.max(0, delayMs) : undefined;
}
