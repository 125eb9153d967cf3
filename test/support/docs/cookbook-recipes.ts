const BEGINNING = '<!-- recipes -->';
const END = '<!-- end of the recipes -->';

const BLOCK = /(?<text>[^\n]+(?:\n[^\n]+)*)\n\n```(?<language>\w+)\n(?<code>[\s\S]*?)\n```/g;

/** Lines that say what is printed; as comments, so that a block can be pasted as it is. */
const OUTPUT_LINE = /^(?:#|\/\/)>(?: (?<text>.*))?$/;

/** Stands for any part of a line, or alone on it for any lines. */
const ELLIPSIS = '…';

/** A block of code that a page invites its readers to run. */
export interface Recipe {
  /** The beginning of the text before it. */
  title: string;
  /** `sh` or `js`. */
  language: string;
  code: string;
  /** The lines that it is to print. */
  output: readonly string[];
}

/**
 * The recipes of a page in Markdown, between its two comments.
 *
 * @throws when the comments are missing, or a block of code cannot be told from the text
 */
export function recipesOf(markdown: string): Recipe[] {
  const [, rest] = markdown.split(BEGINNING);
  const [section, after] = rest?.split(END) ?? [];
  if (section === undefined || after === undefined) throw new Error('there are no recipes');
  const recipes = Array.from(section.matchAll(BLOCK), ({ groups }) =>
    recipeOf(groups as unknown as BlockGroups),
  );
  const fences = section.match(/^```/gm)?.length ?? 0;
  if (fences !== 2 * recipes.length) throw new Error('not every recipe has a text before it');
  return recipes;
}

interface BlockGroups {
  text: string;
  language: string;
  code: string;
}

function recipeOf({ text, language, code }: BlockGroups): Recipe {
  const lines = code.split('\n');
  const isOutput = (line: string) => OUTPUT_LINE.test(line);
  return {
    title: text.replaceAll('\n', ' ').split(/[.:;](?: |$)/, 1)[0] as string,
    language,
    code: lines.filter((line) => !isOutput(line)).join('\n'),
    output: lines.filter(isOutput).map((line) => OUTPUT_LINE.exec(line)?.groups?.text ?? ''),
  };
}

/** What matches the output of a recipe. Blank lines at its end do not count. */
export function patternOf({ output }: Recipe): RegExp {
  const lines = output.map((line) => (line === ELLIPSIS ? '(?:.*\n)*?' : `${patternOfLine(line)}\n`));
  return new RegExp(`^${lines.join('')}\n*$`);
}

function patternOfLine(line: string): string {
  return line
    .split(ELLIPSIS)
    .map((part) => part.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&'))
    .join('.*');
}
