import type { Quarantine } from '../../storage/journal/quarantine.ts';
import { type FileRecord, isDamaged } from '../../storage/records/file-record.ts';
import { DURABLE, type Records } from '../../storage/records/records.ts';
import { Pace } from '../../storage/root/pace.ts';
import type { Root } from '../../storage/root/root.ts';
import type { RootIdentity } from '../../storage/root/root-identity.ts';
import type { Finder } from '../file-finder.ts';
import { adopt, distrust, generationOf, hasSizeOf } from './adoption.ts';

/** How many files are given what is remembered with one batch. */
const TOGETHER = 1000;

/** What a copy of a root is looked through with. */
export interface CopiedRootOptions {
  root: Root;
  records: Records;
  identity: RootIdentity;
  listener: AdoptionListener;
}

/** Who is told what is given to copies. */
export interface AdoptionListener {
  /** Called first if the root was copied. */
  copied(): void;
  /** Called for each file that has now what was remembered of the one it is a copy of. */
  adopted(): void;
  /**
   * Called for each file that is at the path of one of which something was remembered, and cannot be known for a copy of
   * it: it has its type, and counts as interrupted.
   *
   * @param aside where that is now, absolute
   */
  distrusted(location: string, aside: string): void;
}

/**
 * A root that was copied, its server's own directory included: all its files are others than those of which something
 * is remembered, and each may be a copy of the one that was at its path last. To a recovery it says where these are; then
 * what is remembered is given to those that have the size, unless the journal says that they are no copies. Of all
 * others nobody is to think that they are whole.
 */
export class CopiedRoot implements Finder {
  readonly #options: CopiedRootOptions;
  /** Where the files are of which something is remembered, by fingerprint: some, if this goes on after a crash. */
  readonly #known = new Map<string, string>();
  /** Where the others are. */
  readonly #others = new Set<string>();
  /** What each of these may be a copy of, by its location, … */
  readonly #originals = new Map<string, string>();
  /** … and where the copy may be, by fingerprint. */
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
    const { records, identity, listener } = options;
    const origin = await identity.read();
    if (origin !== 'copied' && origin !== 'adopting') return undefined;
    const copied = new CopiedRoot(options);
    await copied.#look();
    if (origin === 'copied') {
      if (copied.#known.size > 0) return undefined;
      // From now on there may be files that are known.
      await identity.beginAdopting();
    }
    listener.copied();
    for await (const { fingerprint, record } of records.files()) {
      if (!isDamaged(record)) copied.claim(fingerprint, record.path);
    }
    return copied;
  }

  /** Says where a file was, at last: what is there may be a copy of it, if no later one was there. */
  claim(fingerprint: string, location: string): void {
    if (!this.#others.has(location) || this.#known.has(fingerprint)) return;
    const other = this.#originals.get(location);
    if (other !== undefined && generationOf(other) > generationOf(fingerprint)) return;
    if (other !== undefined) this.#locations.delete(other);
    this.withdraw(fingerprint);
    this.#originals.set(location, fingerprint);
    this.#locations.set(fingerprint, location);
  }

  /** Says that there is no copy of a file: it was deleted. */
  withdraw(fingerprint: string): void {
    const location = this.#locations.get(fingerprint);
    if (location === undefined) return;
    this.#locations.delete(fingerprint);
    this.#originals.delete(location);
  }

  /** @throws when a directory in which it may be cannot be read */
  async find(fingerprint: string, locations: readonly string[]): Promise<string | undefined> {
    const found = this.#known.get(fingerprint) ?? this.#locations.get(fingerprint);
    if (found === undefined && !this.#isWhole) {
      for (const location of locations) this.#options.root.statAt(location);
    }
    return found;
  }

  /** All of it was looked through. */
  async findAnywhere(): Promise<undefined> {}

  /** Says that what is at the path of a file is no copy, or one of another moment, see {@link distrust}. */
  async distrust(fingerprint: string): Promise<void> {
    const location = this.#locations.get(fingerprint);
    this.withdraw(fingerprint);
    if (location !== undefined) await this.#give(fingerprint, location, false);
  }

  /** Gives the copies what is remembered of the files, but for those that could not be brought up to date. */
  async adopt(quarantine: Pick<Quarantine<never>, 'has'>): Promise<void> {
    const { records } = this.#options;
    const pace = new Pace();
    let group: Promise<void>[] = [];
    for (const [fingerprint, location] of this.#locations) {
      const record = quarantine.has(fingerprint) ? undefined : records.get(fingerprint);
      if (record !== undefined) group.push(this.#give(fingerprint, location, record));
      if (group.length < TOGETHER) continue;
      await Promise.all(group);
      group = [];
      await pace.rest();
    }
    await Promise.all(group);
  }

  /** @param record what has to be true of a copy; false when it is none */
  async #give(fingerprint: string, location: string, record: FileRecord | false): Promise<void> {
    const { root, records, listener } = this.#options;
    const copy = root.statAt(location);
    if (copy === undefined) return;
    const isCopy = record !== false && (isOfForks(record) || hasSizeOf(record, copy.size));
    const aside = isCopy ? undefined : await records.copyAside(fingerprint);
    const give = isCopy ? adopt : distrust;
    let isGiven = false;
    await records.write((draft) => {
      // It may have several names, and one is enough.
      if (draft.get(copy.fingerprint) !== undefined) return;
      give(draft, { fingerprint, location, copy });
      isGiven = true;
    }, DURABLE);
    if (!isGiven) return;
    if (aside === undefined) listener.adopted();
    else listener.distrusted(location, aside);
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
      if (records.get(stat.fingerprint) === undefined) this.#others.add(location);
      else this.#known.set(stat.fingerprint, location);
    }
  }
}

/** Whether nothing is remembered of a file but that it was forked. */
function isOfForks({ stream, append }: FileRecord): boolean {
  return stream === undefined && append === undefined;
}
