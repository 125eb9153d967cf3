const decoder = new TextDecoder();

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
const SEQUENCES = /\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]P^_X][^\x07\x1b\n]*(?:\x07|\x1b\\)?|[ -/]*[0-~])/g;

/** Bytes as text, without control sequences. */
export function plainText(bytes: Uint8Array): string {
  return decoder.decode(bytes).replace(SEQUENCES, '');
}

/** A part of a text: from `start` to before `end`. */
export interface TextPart {
  start: number;
  end: number;
}

/**
 * Where matches are in the text of a row. That may be another one than the bytes are, by what a terminal does with them and by
 * what is made visible: a match that is not where it should be is looked for behind the one before.
 *
 * @param matches what was matched, in order, each with how many characters are before it in the row
 */
export function partsOf(text: string, matches: readonly { before: number; matched: string }[]): TextPart[] {
  const parts: TextPart[] = [];
  let from = 0;
  for (const { before, matched } of matches) {
    if (matched === '') continue;
    const isThere = before >= from && text.startsWith(matched, before);
    const start = isThere ? before : text.indexOf(matched, from);
    if (start === -1) continue;
    from = start + matched.length;
    parts.push({ start, end: from });
  }
  return parts;
}
