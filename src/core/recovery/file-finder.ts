import path from 'node:path';
import type { Root } from '../../storage/root.ts';

/** How many names of a directory are looked at at most. */
const MAX_NAMES = 100_000;

/**
 * Finds files by what they are: where they were, or else below another name in
 * the same directory, which is listed once however many are looked for. For one
 * pass over things of the past: what is renamed meanwhile is not noticed.
 */
export class FileFinder {
  readonly #root: Root;
  /** The names in the directories that were listed, by fingerprint. */
  readonly #listings = new Map<string, Promise<ReadonlyMap<string, string>>>();

  constructor(root: Root) {
    this.#root = root;
  }

  /**
   * Where a file is.
   *
   * @param locations where it was, as paths below the root, the likeliest first
   * @returns path below the root; undefined when it is not to be found
   * @throws what keeps it from being looked for
   */
  async find(fingerprint: string, locations: readonly string[]): Promise<string | undefined> {
    for (const location of locations) {
      if ((await this.#root.fingerprintAt(location)) === fingerprint) return location;
    }
    for (const directory of new Set(locations.map((location) => path.dirname(location)))) {
      const name = (await this.#list(directory)).get(fingerprint);
      if (name !== undefined) return path.join(directory, name);
    }
    return undefined;
  }

  #list(directory: string): Promise<ReadonlyMap<string, string>> {
    const listing = this.#listings.get(directory) ?? this.#root.fingerprintsIn(directory, MAX_NAMES);
    this.#listings.set(directory, listing);
    return listing;
  }
}
