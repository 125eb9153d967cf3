/** A space that is in no brackets. */
const BETWEEN_ARGUMENTS = / (?![^[\]]*\])/;

/** What a pager of a terminal shows for sure. */
const DEFAULT_COLUMNS = 80;

const USAGE = 'Usage: ';

/**
 * Fits a help text into a width: paragraphs are filled anew, as is the line of the usage. Blocks with indented
 * lines, lists and examples, are left as they are.
 *
 * @param columns undefined or 0, where nobody knows: {@link DEFAULT_COLUMNS}
 */
export function fitHelp(text: string, columns: number | undefined): string {
  const width = columns || DEFAULT_COLUMNS;
  return text
    .split('\n\n')
    .map((block) => fitBlock(block, width))
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
