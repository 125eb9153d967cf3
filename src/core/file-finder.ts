import path from 'node:path';
import type { Root } from '../storage/root/root.ts';

/** How many names are looked at in a directory at most, and by a search of the whole root. */
const MAX_NAMES = 100_000;

/** Finds files by what they are. */
export interface Finder {
  /**
   * Where a file is: where it was, or near that.
   *
   * @param locations where it was, as paths below the root, the likeliest first
   * @returns path below the root; undefined when it is not to be found
   * @throws what keeps it from being looked for
   */
  find(fingerprint: string, locations: readonly string[]): Promise<string | undefined>;

  /** Where a file is that {@link find} does not find, anywhere in the root, as far as that is looked through. */
  findAnywhere(fingerprint: string): Promise<string | undefined>;
}

/**
 * Finds files by what they are: where they were, or else below another name. Each
 * directory is listed once, however many files are looked for. For one
 * pass over things of the past: what is renamed meanwhile is not noticed.
 */
export class FileFinder implements Finder {
  readonly #root: Root;
  /** How many names in directories may still be looked at. */
  #looksLeft: number;
  /** The names in the directories that were listed, by fingerprint. */
  readonly #listings = new Map<string, Promise<ReadonlyMap<string, string>>>();
  /** Where all files of the root are, by fingerprint, if somebody had to know. */
  #all: Promise<ReadonlyMap<string, string>> | undefined;

  /**
   * @param maxLooks how many names are looked at in all directories together; what is not among them is not to be
   *   found. Default: any number
   */
  constructor(root: Root, maxLooks = Number.POSITIVE_INFINITY) {
    this.#root = root;
    this.#looksLeft = maxLooks;
  }

  /** At one of the places where it was, or in the same directory. */
  async find(fingerprint: string, locations: readonly string[]): Promise<string | undefined> {
    for (const location of locations) {
      if (this.#root.statAt(location)?.fingerprint === fingerprint) return location;
    }
    for (const directory of new Set(locations.map((location) => path.dirname(location)))) {
      const name = (await this.#list(directory)).get(fingerprint);
      if (name !== undefined) return path.join(directory, name);
    }
    return undefined;
  }

  async findAnywhere(fingerprint: string): Promise<string | undefined> {
    this.#all ??= this.#walk();
    return (await this.#all).get(fingerprint);
  }

  #list(directory: string): Promise<ReadonlyMap<string, string>> {
    const listing = this.#listings.get(directory) ?? this.#look(directory);
    this.#listings.set(directory, listing);
    return listing;
  }

  async #look(directory: string): Promise<ReadonlyMap<string, string>> {
    const maxNames = Math.min(MAX_NAMES, this.#looksLeft);
    // Taken before the wait: other directories are listed meanwhile.
    this.#looksLeft -= maxNames;
    const { found, looks } = await this.#root.fingerprintsIn(directory, maxNames);
    this.#looksLeft += maxNames - looks;
    return found;
  }

  async #walk(): Promise<ReadonlyMap<string, string>> {
    const found = new Map<string, string>();
    let looks = 0;
    for await (const name of this.#root.walk(() => {})) {
      if (looks++ === MAX_NAMES) break;
      const stat = await this.#root.statFound(name);
      if (stat !== undefined && name.location !== undefined) found.set(stat.fingerprint, name.location);
    }
    return found;
  }
}
