/**
 * Text that came from outside as it may be shown on a terminal: without
 * control characters, which could do more there than be read.
 */
export function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, ' ');
}
