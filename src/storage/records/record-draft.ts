import {
  type FileRecord,
  forksWithin,
  isDamaged,
  parseForks,
  parseRecord,
  parseTombstone,
  type Tombstone,
} from './file-record.ts';
import { dueKey, fileKey, forksKey, removalKey, tombstoneKey, upstreamKey } from './record-keys.ts';
import type { StreamLink } from './stream-state.ts';

/** What is at keys: the changes that were made before, or what is stored. */
export type ReadValue = (key: string) => string | undefined;

/**
 * Changes of records that are made together or not at all. What is read is what it will be
 * with the changes that were made by now.
 */
export class RecordDraft {
  readonly #read: ReadValue;
  readonly #changes = new Map<string, string | undefined>();
  readonly #damaged = new Set<string>();

  constructor(read: ReadValue) {
    this.#read = read;
  }

  /** New values by keys; undefined takes the key away. */
  get changes(): ReadonlyMap<string, string | undefined> {
    return this.#changes;
  }

  /** Fingerprints of the files whose records were damaged, and are replaced. */
  get damaged(): ReadonlySet<string> {
    return this.#damaged;
  }

  /** What is remembered of a file; see {@link isDamaged}. */
  get(fingerprint: string): FileRecord | undefined {
    const text = this.#valueOf(fileKey(fingerprint));
    return text === undefined ? undefined : parseRecord(text);
  }

  /** Replaces what is remembered of a file. */
  set(fingerprint: string, record: FileRecord): void {
    const before = this.get(fingerprint);
    if (isDamaged(before)) this.#damaged.add(fingerprint);
    // Forks that are in it go where they belong.
    if (before?.isForked && this.#valueOf(forksKey(fingerprint)) === undefined) {
      this.setForks(fingerprint, forksWithin(this.#valueOf(fileKey(fingerprint)) ?? ''));
    }
    this.#changes.set(fileKey(fingerprint), JSON.stringify(record));
    this.#moveDue(fingerprint, before?.dueMs, record.dueMs);
  }

  /** Takes over a record that is damaged, as it is. */
  setDamaged(fingerprint: string, text: string): void {
    this.delete(fingerprint);
    this.#changes.set(fileKey(fingerprint), text);
  }

  /** Forgets a file, and which forks it has. */
  delete(fingerprint: string): void {
    const before = this.get(fingerprint);
    if (before === undefined) return;
    // What is whole of one that is damaged stays.
    if (!isDamaged(before)) this.setForks(fingerprint, []);
    this.#changes.set(fileKey(fingerprint), undefined);
    this.#moveDue(fingerprint, before.dueMs, undefined);
  }

  /** The tombstone at a path, if there is one. */
  tombstone(path: string): Tombstone | undefined {
    const text = this.#valueOf(tombstoneKey(path));
    return text === undefined ? undefined : parseTombstone(text);
  }

  /** Puts a tombstone at its path. */
  setTombstone(tombstone: Tombstone): void {
    this.#changes.set(tombstoneKey(tombstone.path), JSON.stringify(tombstone));
  }

  /** Takes the tombstone at a path away, and which forks that has, unless they are those of a file that is there. */
  deleteTombstone(path: string): void {
    const { fingerprint } = this.tombstone(path) ?? {};
    this.#changes.set(tombstoneKey(path), undefined);
    if (fingerprint !== undefined && this.get(fingerprint) === undefined) this.setForks(fingerprint, []);
  }

  /** The forks of a file, or of what has left a tombstone: those that live, or of which forks live. */
  forks({ path, fingerprint }: StreamLink): readonly StreamLink[] {
    const apart = this.#valueOf(forksKey(fingerprint));
    if (apart !== undefined) return parseForks(apart);
    const hasTombstone = this.tombstone(path)?.fingerprint === fingerprint;
    return forksWithin(this.#valueOf(hasTombstone ? tombstoneKey(path) : fileKey(fingerprint)) ?? '');
  }

  /** Replaces the forks of a file, or of what has left a tombstone. */
  setForks(fingerprint: string, forks: readonly StreamLink[]): void {
    const key = forksKey(fingerprint);
    if (forks.length > 0) this.#changes.set(key, JSON.stringify(forks));
    else if (this.#valueOf(key) !== undefined) this.#changes.set(key, undefined);
  }

  /** Notes that a file is being removed: a start finishes what belongs to that, if the file is gone by then. */
  beginRemoval(fingerprint: string, path: string): void {
    this.#changes.set(removalKey(fingerprint), path);
  }

  /** Whether that is noted of a file. */
  isBeingRemoved(fingerprint: string): boolean {
    return this.#valueOf(removalKey(fingerprint)) !== undefined;
  }

  /** Notes that all is done that belongs to the removal of a file, or that it stays. */
  endRemoval(fingerprint: string): void {
    this.#changes.set(removalKey(fingerprint), undefined);
  }

  /** Notes when the server at a URL was known to be an httpfstream server, in milliseconds since 1970. */
  setUpstreamKnown(url: string, atMs: number): void {
    this.#changes.set(upstreamKey(url), String(atMs));
  }

  /** Takes keys away, whatever they are. */
  deleteKeys(keys: readonly string[]): void {
    for (const key of keys) this.#changes.set(key, undefined);
  }

  #valueOf(key: string): string | undefined {
    return this.#changes.has(key) ? this.#changes.get(key) : this.#read(key);
  }

  #moveDue(fingerprint: string, beforeMs: number | undefined, afterMs: number | undefined): void {
    if (beforeMs === afterMs) return;
    if (beforeMs !== undefined) this.#changes.set(dueKey(beforeMs, fingerprint), undefined);
    if (afterMs !== undefined) this.#changes.set(dueKey(afterMs, fingerprint), '');
  }
}
