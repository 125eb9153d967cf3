import type { DirectoryEntry, SortOrder } from './directory-entry.ts';

/** After so many changes at once sorting everything again is faster than looking for each place. */
const MAX_INSERTIONS = 500;

type Order = (a: DirectoryEntry, b: DirectoryEntry) => number;

/** The entries of a directory as they are shown: sorted and filtered, kept so while they change. */
export class DirectoryModel {
  readonly #entries = new Map<string, DirectoryEntry>();
  #shown: DirectoryEntry[] = [];
  #order: SortOrder = { key: 'name', descending: false };
  #words: readonly string[] = [];

  /** The entries that pass the filter, in order. */
  get shown(): readonly DirectoryEntry[] {
    return this.#shown;
  }

  /** How many entries there are, shown or not. */
  get count(): number {
    return this.#entries.size;
  }

  get order(): SortOrder {
    return this.#order;
  }

  /** Sorts by something else, or the other way round. */
  setOrder(order: SortOrder): void {
    this.#order = order;
    this.#shown.sort(this.#compare());
  }

  /** Shows only names that contain all words of a text, in whatever case. Empty for all. */
  setFilter(text: string): void {
    this.#words = text
      .toLowerCase()
      .split(/\s+/)
      .filter((word) => word !== '');
    this.#showAll();
  }

  /** Takes these entries in place of all that are there. */
  replace(entries: Iterable<DirectoryEntry>): void {
    this.#entries.clear();
    for (const entry of entries) this.#entries.set(entry.name, entry);
    this.#showAll();
  }

  /**
   * Takes changes.
   *
   * @param changed entries that are new, or different
   * @param gone names of those that are no longer there
   */
  apply(changed: readonly DirectoryEntry[], gone: readonly string[] = []): void {
    const isMany = changed.length + gone.length > MAX_INSERTIONS;
    for (const name of gone) {
      if (!isMany) this.#hide(name);
      this.#entries.delete(name);
    }
    for (const entry of changed) {
      if (!isMany) this.#hide(entry.name);
      this.#entries.set(entry.name, entry);
      if (!isMany && this.#passes(entry)) this.#shown.splice(this.#placeOf(entry), 0, entry);
    }
    if (isMany) this.#showAll();
  }

  /** Where an entry is among those shown; -1 if it is not. */
  indexOf(name: string): number {
    const entry = this.#entries.get(name);
    if (entry === undefined) return -1;
    const index = this.#placeOf(entry);
    return this.#shown[index]?.name === name ? index : -1;
  }

  #showAll(): void {
    this.#shown = [...this.#entries.values()].filter((entry) => this.#passes(entry)).sort(this.#compare());
  }

  #hide(name: string): void {
    const index = this.indexOf(name);
    if (index >= 0) this.#shown.splice(index, 1);
  }

  #passes({ name }: DirectoryEntry): boolean {
    if (this.#words.length === 0) return true;
    const text = name.toLowerCase();
    return this.#words.every((word) => text.includes(word));
  }

  /** The index of the first entry shown that does not come before this one. */
  #placeOf(entry: DirectoryEntry): number {
    const compare = this.#compare();
    let [low, high] = [0, this.#shown.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (compare(this.#shown[middle]!, entry) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #compare(): Order {
    const { key, descending } = this.#order;
    const sign = descending ? -1 : 1;
    const byKey: Order =
      key === 'size'
        ? (a, b) => (a.size ?? -1) - (b.size ?? -1)
        : key === 'modified'
          ? (a, b) => a.modifiedMs - b.modifiedMs
          : byName;
    return (a, b) => Number(b.isDirectory) - Number(a.isDirectory) || sign * byKey(a, b) || byName(a, b);
  }
}

/** A total order: no two entries have one name. */
function byName(a: DirectoryEntry, b: DirectoryEntry): number {
  return compareText(a.nameKey, b.nameKey) || compareText(a.name, b.name);
}

/** By code units: the same wherever the page is read, and many times faster than a collator. */
function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
