import type { JsonNode } from './json-node.ts';

/** How many members or items are shown at first, and more with each request for more. */
export const CHILDREN_AT_ONCE = 100;

/** One line of a tree of a value. */
export type TreeRow =
  | {
      kind: 'value';
      /** Which one it is: the indices on the way to it, joined with dots. Empty for the root. */
      id: string;
      /** How many values it is in. */
      depth: number;
      /** Its name or index in what it is in; undefined for the root. */
      key: string | number | undefined;
      node: JsonNode;
      /** Whether what it holds is shown below; undefined for what holds nothing. */
      isOpen: boolean | undefined;
    }
  | {
      /** Stands for children that are not shown. */
      kind: 'more';
      /** The value whose children they are. */
      id: string;
      depth: number;
      count: number;
    };

/** Which values of a tree are open, and how many of their children are shown. */
export class TreeState {
  readonly #shownCounts = new Map<string, number>();

  /** With the outermost value open. */
  constructor() {
    this.#shownCounts.set('', CHILDREN_AT_ONCE);
  }

  /** How many children of a value are shown at most; 0 for one that is closed. */
  shownCount(id: string): number {
    return this.#shownCounts.get(id) ?? 0;
  }

  toggle(id: string): void {
    if (!this.#shownCounts.delete(id)) this.#shownCounts.set(id, CHILDREN_AT_ONCE);
  }

  showMore(id: string): void {
    this.#shownCounts.set(id, this.shownCount(id) + CHILDREN_AT_ONCE);
  }
}

/** Lays out the lines of a tree: the value, and what is open below it. */
export function treeRows(root: JsonNode, state: TreeState): TreeRow[] {
  const rows: TreeRow[] = [];
  addRows(rows, { node: root, key: undefined, id: '', depth: 0 }, state);
  return rows;
}

interface Place {
  node: JsonNode;
  key: string | number | undefined;
  id: string;
  depth: number;
}

function addRows(rows: TreeRow[], place: Place, state: TreeState): void {
  const { node, id, depth } = place;
  const count = childCount(node);
  const shownCount = Math.min(count, state.shownCount(id));
  rows.push({ kind: 'value', ...place, isOpen: count === 0 ? undefined : shownCount > 0 });
  for (let index = 0; index < shownCount; index++) {
    const child = childAt(node, index);
    addRows(rows, { ...child, id: id === '' ? String(index) : `${id}.${index}`, depth: depth + 1 }, state);
  }
  if (shownCount > 0 && shownCount < count)
    rows.push({ kind: 'more', id, depth: depth + 1, count: count - shownCount });
}

/** How many members or items a value has. */
export function childCount(node: JsonNode): number {
  if (node.kind === 'object') return node.members.length;
  return node.kind === 'array' ? node.items.length : 0;
}

function childAt(node: JsonNode, index: number): Pick<Place, 'node' | 'key'> {
  if (node.kind === 'object') {
    const { key, value } = node.members[index]!;
    return { node: value, key };
  }
  if (node.kind === 'array') return { node: node.items[index]!, key: index };
  throw new RangeError('what holds nothing has no children');
}
