import type { IncomingMessage } from 'node:http';

/**
 * How long a server wants to be left alone, in milliseconds (RFC 9110, section
 * 10.2.3); undefined when it does not say, or says what makes no sense.
 */
export function retryAfterOf({ headers }: IncomingMessage): number | undefined {
  const text = headers['retry-after']?.trim() ?? '';
  if (/^\d+$/.test(text)) return finite(Number(text) * 1000);
  return text.endsWith('GMT') ? finite(Math.max(0, Date.parse(text) - Date.now())) : undefined;
}

function finite(number: number): number | undefined {
  return Number.isFinite(number) ? number : undefined;
}
