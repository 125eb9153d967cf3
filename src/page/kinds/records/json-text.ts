import { visible } from '../../frame/visible.ts';
import type { JsonNode } from './json-node.ts';

/** Writes a value on one line for a person, at most so many characters and an ellipsis: `{level: "warn", n: 3}`. */
export function preview(node: JsonNode, maxLength: number): string {
  const writer = new Preview(maxLength);
  writer.write(node);
  return writer.text;
}

/** Writes a value without the quotes that a string would have: what a cell of a table shows. */
export function cellText(node: JsonNode, maxLength: number): string {
  if (node.kind !== 'string') return preview(node, maxLength);
  return visible(cut(node.value, maxLength));
}

/** Stops as soon as there is enough: a value may be large. */
class Preview {
  readonly #maxLength: number;
  text = '';

  constructor(maxLength: number) {
    this.#maxLength = maxLength;
  }

  /** Whether there was room. */
  write(node: JsonNode): boolean {
    switch (node.kind) {
      case 'object':
        return this.#list('{', '}', node.members, ({ key, value }) => {
          return this.#add(`${shownKey(key, this.#maxLength)}: `) && this.write(value);
        });
      case 'array':
        return this.#list('[', ']', node.items, (item) => this.write(item));
      case 'string':
        return this.#add(`"${visible(cut(node.value, this.#maxLength))}"`);
      case 'number':
        return this.#add(node.text);
      case 'boolean':
        return this.#add(String(node.value));
      case 'null':
        return this.#add('null');
    }
  }

  #list<T>(open: string, close: string, items: readonly T[], writeOne: (item: T) => boolean): boolean {
    if (!this.#add(open)) return false;
    for (const [index, item] of items.entries()) {
      if (index > 0 && !this.#add(', ')) return false;
      if (!writeOne(item)) return false;
    }
    return this.#add(close);
  }

  #add(text: string): boolean {
    const room = this.#maxLength - this.text.length;
    if (text.length <= room) {
      this.text += text;
      return true;
    }
    this.text += `${text.slice(0, Math.max(0, room))}…`;
    return false;
  }
}

/** A key as it is where it could be one of JavaScript, else in quotes. */
function shownKey(key: string, maxLength: number): string {
  return /^[\w$-]+$/.test(key) ? cut(key, maxLength) : `"${visible(cut(key, maxLength))}"`;
}

/** At most so many characters of a text, and an ellipsis if that is not all. */
export function cut(text: string, maxLength: number): string {
  return text.length <= maxLength ? text : `${text.slice(0, maxLength)}…`;
}
