/** A space that is in no brackets. */
const BETWEEN_ARGUMENTS = / (?![^[\]]*\])/;

const USAGE = 'Usage: ';

/**
 * Fits a help text into a width: paragraphs are filled anew, as is the line of the usage. Blocks with indented
 * lines, lists and examples, are left as they are.
 *
 * @param columns undefined: it is as wide as it is
 */
export function fitHelp(text: string, columns: number | undefined): string {
  if (!columns) return text;
  return text
    .split('\n\n')
    .map((block) => fitBlock(block, columns))
    .join('\n\n');
}

function fitBlock(block: string, columns: number): string {
  if (block.startsWith(USAGE)) return filled(block.split(BETWEEN_ARGUMENTS), columns, USAGE.length);
  if (/^ /m.test(block)) return block;
  const [, before = '', paragraph = '', after = ''] = /^(\n*)(.*?)(\n*)$/s.exec(block) ?? [];
  return before + filled(paragraph.split(/\s/), columns, 0) + after;
}

/** @param indent of all lines but the first, in columns */
function filled(words: readonly string[], columns: number, indent: number): string {
  const lines: string[] = [];
  let line = '';
  for (const word of words) {
    if (line !== '' && line.length + 1 + word.length > columns) {
      lines.push(line);
      line = ' '.repeat(indent) + word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line].join('\n');
}
