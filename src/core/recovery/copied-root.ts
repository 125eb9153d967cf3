import type { Quarantine } from '../../storage/journal/quarantine.ts';
import { isDamaged } from '../../storage/records/file-record.ts';
import { DURABLE, type Records } from '../../storage/records/records.ts';
import { Pace } from '../../storage/root/pace.ts';
import type { Root } from '../../storage/root/root.ts';
import type { RootIdentity } from '../../storage/root/root-identity.ts';
import type { Finder } from '../file-finder.ts';
import { adopt, generationOf } from './adoption.ts';

/** How many files are given what is remembered with one batch. */
const TOGETHER = 1000;

/** What a copy of a root is looked through with. */
export interface CopiedRootOptions {
  root: Root;
  records: Records;
  identity: RootIdentity;
}

/**
 * A root that was copied, its server's own directory included: all its files are others than those of which something
 * is remembered, and each is a copy of the one that was at its path last. To a recovery it says where these are; then
 * what is remembered is given to the copies.
 */
export class CopiedRoot implements Finder {
  readonly #options: CopiedRootOptions;
  /** Where the files are of which something is remembered, by fingerprint: some, if this goes on after a crash. */
  readonly #known = new Map<string, string>();
  /** Where the others are. */
  readonly #copies = new Set<string>();
  /** What each of these is a copy of, by its location, … */
  readonly #originals = new Map<string, string>();
  /** … and where the copy is, by fingerprint. */
  readonly #locations = new Map<string, string>();
  #isWhole = true;

  private constructor(options: CopiedRootOptions) {
    this.#options = options;
  }

  /**
   * Finds out whether a root was copied. To be called when records are replayed, and no server runs.
   *
   * @returns undefined when it was not, or one of its files is known: then only the server's own directory was
   */
  static async find(options: CopiedRootOptions): Promise<CopiedRoot | undefined> {
    const { records, identity } = options;
    const origin = await identity.read();
    if (origin !== 'copied' && origin !== 'adopting') return undefined;
    const copied = new CopiedRoot(options);
    await copied.#look();
    if (origin === 'copied') {
      if (copied.#known.size > 0) return undefined;
      // From now on there may be files that are known.
      await identity.beginAdopting();
    }
    for await (const { fingerprint, record } of records.files()) {
      if (!isDamaged(record)) copied.claim(fingerprint, record.path);
    }
    return copied;
  }

  /** Says where a file was, at last: what is there is a copy of it, unless a later one was there. */
  claim(fingerprint: string, location: string): void {
    if (!this.#copies.has(location) || this.#known.has(fingerprint)) return;
    const other = this.#originals.get(location);
    if (other !== undefined && generationOf(other) > generationOf(fingerprint)) return;
    if (other !== undefined) this.#locations.delete(other);
    const before = this.#locations.get(fingerprint);
    if (before !== undefined) this.#originals.delete(before);
    this.#originals.set(location, fingerprint);
    this.#locations.set(fingerprint, location);
  }

  async find(fingerprint: string): Promise<string | undefined> {
    return this.#known.get(fingerprint) ?? this.#locations.get(fingerprint);
  }

  /** As {@link find}: all of it was looked through. */
  findAnywhere(fingerprint: string): Promise<string | undefined> {
    return this.find(fingerprint);
  }

  /**
   * Gives the copies what is remembered of the files, but for those that could not be brought up to date: a later check
   * gives them that. So it does with what a crash has left.
   *
   * @returns how many were given something
   */
  async adopt(quarantine: Pick<Quarantine<never>, 'has'>): Promise<number> {
    const pace = new Pace();
    let isAll = this.#isWhole;
    let count = 0;
    let group: Promise<boolean>[] = [];
    for (const [fingerprint, location] of this.#locations) {
      if (quarantine.has(fingerprint)) isAll = false;
      else group.push(this.#adopt(fingerprint, location));
      if (group.length < TOGETHER) continue;
      count += (await Promise.all(group)).filter(Boolean).length;
      group = [];
      await pace.rest();
    }
    count += (await Promise.all(group)).filter(Boolean).length;
    if (isAll) await this.#options.identity.claim();
    return count;
  }

  /** @returns whether the copy has something now */
  async #adopt(fingerprint: string, location: string): Promise<boolean> {
    const { root, records } = this.#options;
    const copy = root.statAt(location);
    if (copy === undefined) return false;
    let isAdopted = false;
    await records.write((draft) => {
      // It may have several names, and one is enough.
      if (draft.get(fingerprint) === undefined || draft.get(copy.fingerprint) !== undefined) return;
      adopt(draft, { fingerprint, location, copy });
      isAdopted = true;
    }, DURABLE);
    return isAdopted;
  }

  async #look(): Promise<void> {
    const { root, records } = this.#options;
    const names = root.walk(() => {
      this.#isWhole = false;
    });
    for await (const found of names) {
      const { location } = found;
      const stat = root.statFound(found);
      if (stat === undefined || location === undefined) continue;
      if (records.get(stat.fingerprint) === undefined) this.#copies.add(location);
      else this.#known.set(stat.fingerprint, location);
    }
  }
}
