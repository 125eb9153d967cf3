import type { ResourcePath } from '../wire/resource-path.ts';

/** Stands for any number of names. */
const DEEP = '**';

/** More of those mean nothing that two do not, and make look-ups long. */
const MAX_DEEP = 2;

/** How much of a tree is looked at for one path before the answer is no. */
const MAX_STEPS = 20_000;

// biome-ignore lint/suspicious/noControlCharactersInRegex: no path has them
const CONTROL_CHARACTER = /[\u0000-\u001f\u007f]/;

/**
 * Splits a pattern into names. `*` stands for any run of characters in a name, `**` as a whole name for any number of
 * names; everything else is meant literally, percent signs, too.
 *
 * @throws {TypeError} when it is none: {@link mistakeInPattern}
 */
export function parsePattern(text: string): readonly string[] {
  const mistake = mistakeInPattern(text);
  if (mistake !== undefined) throw new TypeError(`the pattern ${mistake}`);
  return namesIn(text);
}

/** What is wrong with a pattern: what it must be, or must not; undefined when it is one. */
export function mistakeInPattern(text: string): string | undefined {
  if (!text.startsWith('/')) return 'must begin with /';
  if (CONTROL_CHARACTER.test(text)) return 'must not have control characters';
  const names = namesIn(text);
  if (names.at(-1) === '') {
    return 'must not end with /: the directory itself is without it, all below it is /**';
  }
  if (names.some((name) => name === '' || name === '.' || name === '..')) {
    return "must not have empty names, '.' or '..'";
  }
  if (names.some((name) => name !== DEEP && name.includes(DEEP))) {
    return "must have '**' only as a whole name";
  }
  const isTooDeep = names.filter((name) => name === DEEP).length > MAX_DEEP;
  return isTooDeep ? `must have '**' at most ${MAX_DEEP} times` : undefined;
}

function namesIn(text: string): string[] {
  return text === '/' ? [] : text.slice(1).split('/');
}

/** What patterns have in common up to some name. */
class Node<T> {
  readonly names = new Map<string, Node<T>>();
  readonly patterns = new Map<string, NamePattern<T>>();
  /** What follows `**`. */
  deep: Node<T> | undefined;
  readonly values: T[] = [];
  /** The look-up that was last here, if this is behind `**`, … */
  visit = 0;
  /** … and the name from which on it has seen all. */
  seenFrom = 0;

  /** What follows a name of a pattern; made if it is not there yet. */
  child(name: string): Node<T> {
    if (name === DEEP) {
      this.deep ??= new Node();
      return this.deep;
    }
    if (!name.includes('*')) return madeIn(this.names, name, () => new Node<T>());
    return madeIn(this.patterns, name, () => new NamePattern<T>(name)).node;
  }
}

function madeIn<V>(map: Map<string, V>, key: string, make: () => V): V {
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = make();
  map.set(key, made);
  return made;
}

/** A name with `*`, cut at these. */
class NamePattern<T> {
  readonly node = new Node<T>();
  readonly #beginning: string;
  readonly #middle: readonly string[];
  readonly #end: string;

  constructor(text: string) {
    const [beginning = '', ...rest] = text.split('*');
    this.#beginning = beginning;
    this.#end = rest.pop() ?? '';
    this.#middle = rest;
  }

  matches(name: string): boolean {
    if (!name.startsWith(this.#beginning) || !name.endsWith(this.#end)) return false;
    let at = this.#beginning.length;
    for (const piece of this.#middle) {
      const found = name.indexOf(piece, at);
      if (found === -1) return false;
      at = found + piece.length;
    }
    return at <= name.length - this.#end.length;
  }
}

/** A look-up in a tree. */
interface Search<T> {
  readonly names: readonly string[];
  readonly isWanted: (value: T) => boolean;
  /** Whether `**` at the end of a pattern stands for no name, too. */
  readonly matchesSelf: boolean;
  readonly visit: number;
  steps: number;
}

/**
 * Values by patterns of paths. They are sorted into a tree by their names, so that any number of them cost a look-up
 * little more than one does; and behind the same `**` no name of a path is looked at twice.
 */
export class PatternTree<T> {
  readonly #root = new Node<T>();
  #visits = 0;

  /** @throws {TypeError} when the pattern is none: {@link parsePattern} */
  add(pattern: string, value: T): void {
    let node = this.#root;
    for (const name of parsePattern(pattern)) node = node.child(name);
    node.values.push(value);
  }

  /**
   * Whether a pattern that matches has a value that is wanted.
   *
   * @param matchesSelf whether `/a/**` is `/a`, too, as it is when a directory is meant
   * @param isWanted may be asked more than once
   */
  some(
    { segments: names }: Pick<ResourcePath, 'segments'>,
    matchesSelf: boolean,
    isWanted: (value: T) => boolean,
  ): boolean {
    const search = { names, isWanted, matchesSelf, visit: ++this.#visits, steps: 0 };
    return find(this.#root, 0, search);
  }
}

/** @param at which name comes next */
function find<T>(node: Node<T>, at: number, search: Search<T>): boolean {
  if (at === search.names.length && node.values.some(search.isWanted)) return true;
  return findBelow(node, at, search);
}

function findBelow<T>(node: Node<T>, at: number, search: Search<T>): boolean {
  if (++search.steps > MAX_STEPS) return false;
  const name = search.names[at];
  if (name !== undefined) {
    const child = node.names.get(name);
    if (child !== undefined && find(child, at + 1, search)) return true;
    for (const pattern of node.patterns.values()) {
      if (++search.steps > MAX_STEPS) return false;
      if (pattern.matches(name) && find(pattern.node, at + 1, search)) return true;
    }
  }
  return node.deep !== undefined && findBehind(node.deep, at, search);
}

/** Searches behind `**`, which may stand for any of the names from `at` on, or for none. */
function findBehind<T>(node: Node<T>, at: number, search: Search<T>): boolean {
  const { names, visit, matchesSelf } = search;
  if ((matchesSelf || at < names.length) && node.values.some(search.isWanted)) return true;
  const end = node.visit === visit ? node.seenFrom : names.length + 1;
  node.visit = visit;
  node.seenFrom = Math.min(at, end);
  for (let from = at; from < end; from++) if (findBelow(node, from, search)) return true;
  return false;
}
