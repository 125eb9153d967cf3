/** Deeper values are not read: `[[[[…` would exhaust the stack. */
const MAX_DEPTH = 256;

/**
 * A JSON value as it is written: members in their order, twice where they are there twice, and numbers
 * with all their digits, none of which `JSON.parse` keeps.
 */
export type JsonNode =
  | { kind: 'object'; members: readonly JsonMember[] }
  | { kind: 'array'; items: readonly JsonNode[] }
  | { kind: 'string'; value: string }
  | { kind: 'number'; text: string }
  | { kind: 'boolean'; value: boolean }
  | { kind: 'null' };

/** A member of an object. */
export interface JsonMember {
  key: string;
  value: JsonNode;
}

/** What a text was read as. */
export interface ParsedJson {
  /** Its value; undefined for what is not read. */
  node: JsonNode | undefined;
  /** It is not read because values are nested over 256 deep: it may be valid. */
  isTooDeep: boolean;
}

/** A string that stands for itself. */
const PLAIN_STRING = /"[^"\\\p{Cc}]*"/uy;
const STRING = /"[^"\\]*(?:\\.[^"\\]*)*"/y;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const WORD = /true|false|null/y;

/** Parses what is one JSON value and nothing else, nested at most 256 deep. */
export function parseJson(text: string): ParsedJson {
  const parser = new Parser(text);
  const node = parser.value(0);
  return { node: parser.isAtEnd() ? node : undefined, isTooDeep: parser.isTooDeep };
}

class Parser {
  readonly #text: string;
  #at = 0;
  /** Whether it was left because what follows is nested too deep. */
  isTooDeep = false;

  constructor(text: string) {
    this.#text = text;
  }

  isAtEnd(): boolean {
    this.#skipSpace();
    return this.#at === this.#text.length;
  }

  value(depth: number): JsonNode | undefined {
    if (depth > MAX_DEPTH) {
      this.isTooDeep = true;
      return undefined;
    }
    this.#skipSpace();
    switch (this.#text[this.#at]) {
      case '{':
        return this.#object(depth);
      case '[':
        return this.#array(depth);
      case '"': {
        const value = this.#string();
        return value === undefined ? undefined : { kind: 'string', value };
      }
      default:
        return this.#numberOrWord();
    }
  }

  #object(depth: number): JsonNode | undefined {
    const members: JsonMember[] = [];
    const isWhole = this.#list('}', () => {
      this.#skipSpace();
      const key = this.#string();
      if (key === undefined || !this.#skip(':')) return false;
      const value = this.value(depth + 1);
      if (value === undefined) return false;
      members.push({ key, value });
      return true;
    });
    return isWhole ? { kind: 'object', members } : undefined;
  }

  #array(depth: number): JsonNode | undefined {
    const items: JsonNode[] = [];
    const isWhole = this.#list(']', () => {
      const item = this.value(depth + 1);
      if (item === undefined) return false;
      items.push(item);
      return true;
    });
    return isWhole ? { kind: 'array', items } : undefined;
  }

  /** Reads what is between brackets, of which the first is the next character. Returns whether it is well-formed. */
  #list(end: string, readOne: () => boolean): boolean {
    this.#at++;
    if (this.#skip(end)) return true;
    for (;;) {
      if (!readOne()) return false;
      if (this.#skip(end)) return true;
      if (!this.#skip(',')) return false;
    }
  }

  #string(): string | undefined {
    const plain = this.#take(PLAIN_STRING);
    if (plain !== undefined) return plain.slice(1, -1);
    const token = this.#take(STRING);
    if (token === undefined) return undefined;
    try {
      return JSON.parse(token) as string;
    } catch {
      // An unknown escape, or a control character.
      return undefined;
    }
  }

  #numberOrWord(): JsonNode | undefined {
    const text = this.#take(NUMBER);
    if (text !== undefined) return { kind: 'number', text };
    const word = this.#take(WORD);
    if (word === undefined) return undefined;
    return word === 'null' ? { kind: 'null' } : { kind: 'boolean', value: word === 'true' };
  }

  #skip(character: string): boolean {
    this.#skipSpace();
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    return true;
  }

  #skipSpace(): void {
    for (;;) {
      const code = this.#text.charCodeAt(this.#at);
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return;
      this.#at++;
    }
  }

  #take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    if (!pattern.test(this.#text)) return undefined;
    const token = this.#text.slice(this.#at, pattern.lastIndex);
    this.#at = pattern.lastIndex;
    return token;
  }
}
