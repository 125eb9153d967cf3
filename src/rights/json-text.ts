import json, { type JSONPath } from 'jsonc-parser';

/**
 * Of two members of one name JavaScript takes the last one without a word: what somebody wrote would not count.
 *
 * @param text of JSON
 * @returns where the second of two is, and which one that is; undefined when there are none
 */
export function repeatedMember(text: string): string | undefined {
  const names: Set<string>[] = [];
  let repeated: string | undefined;
  json.visit(text, {
    onObjectBegin: () => void names.push(new Set()),
    onObjectEnd: () => void names.pop(),
    onObjectProperty: (name, offset, _length, _line, _column, pathToObject) => {
      const others = names.at(-1) as Set<string>;
      if (others.has(name)) {
        repeated ??= `${lineAndColumn(text, offset)}: ${pointerTo([...pathToObject(), name])} comes twice`;
      }
      others.add(name);
    },
  });
  return repeated;
}

/** A place in a text, as it is said after the name of a file. */
export function lineAndColumn(text: string, offset: number): string {
  const lines = text.slice(0, offset).split('\n');
  return `:${lines.length}:${(lines.at(-1) ?? '').length + 1}`;
}

/** The names of members and numbers of items that lead to something in a document, as text. */
export function pointerTo(path: JSONPath): string {
  return path.map((name) => `/${name}`).join('') || '/';
}
