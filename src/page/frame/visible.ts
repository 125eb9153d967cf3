/** Characters that are not shown as such: controls, what has no width, what reorders text, and half of a pair. */
const UNSEEN = /[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}\p{Surrogate}\u200b\u2060-\u2064\ufeff]/gu;

const NAMED: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/** Makes visible what a browser would not show, or show elsewhere, as escapes of JSON: `\u202e`. */
export function visible(text: string): string {
  return text.replace(
    UNSEEN,
    (character) => NAMED[character] ?? `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
