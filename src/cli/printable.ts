/**
 * Text that came from outside as it may be shown on a terminal: without
 * control characters, also those of formatting and of lines, which could do
 * more there than be read.
 */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, ' ');
}
