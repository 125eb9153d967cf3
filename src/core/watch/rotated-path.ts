import { NOTIFIES_EACH_CHANGE } from '../../storage/root/file-systems.ts';
import type { Change } from '../../storage/root/name-watches.ts';
import type { Root } from '../../storage/root/root.ts';
import type { StoredFile } from '../../storage/stored-file.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import type { FollowRequest } from '../request.ts';
import type { PathWatch, PathWatcher } from './path-watch.ts';
import type { RenamedFile } from './renamed-file.ts';
import { type OpenRotated, RotatedFile } from './rotated-file.ts';

/** How many files of one path are kept; the oldest are evicted. */
const MAX_FILES = 8;

/** Changes of a name that one file makes which takes the place of another: the old one goes, the new one comes. */
const CHANGES_A_FILE = 2;

/** Time after which no change is still to be told that has happened. */
const SETTLED_MS = 1000;

/**
 * The files that have been at a path one after the other while it has followers
 * that come back: what is renamed or deleted is kept open until all of them have
 * had the rest of it.
 */
export class RotatedPath implements PathWatcher {
  readonly path: ResourcePath;
  readonly isWaiting = false;
  readonly needsAll = true;
  readonly #root: Root;
  readonly #paths: PathWatch;
  /** The oldest first. */
  readonly #files: RotatedFile[] = [];
  /** The look that is under way, and the one after it, for those that came too late for that. */
  #looking: Promise<void> | undefined;
  #next: Promise<void> | undefined;
  /** How often the name has changed since all was settled, … */
  #changes = 0;
  #changedAt = 0;
  /** … and how many files have been seen to come. */
  #arrivals = 0;
  /** How many looks were made at once since the last one that was due. */
  #looksAtOnce = 0;
  /** Whether the newest of them may have been cut since somebody has looked. */
  #isTouched = true;
  #closed = false;

  constructor(path: ResourcePath, root: Root, paths: PathWatch) {
    this.path = path;
    this.#root = root;
    this.#paths = paths;
    paths.add(this);
  }

  /** Whether it keeps no file. */
  get isEmpty(): boolean {
    return this.#files.length === 0;
  }

  /** Keeps a file that is at the path for so many milliseconds. */
  hold(file: StoredFile, holdMs: number): RotatedFile {
    const held =
      this.#fileOf(({ fingerprint }) => fingerprint === file.stat.fingerprint) ?? this.#add(file.share());
    held.holdAfter(file, holdMs);
    return held;
  }

  /**
   * Keeps a file, its own from now on, that was at the path before anybody watched it; others may have been there
   * between it and the next that is known.
   */
  adopt({ file, path }: RenamedFile, holdMs: number): void {
    const adopted = new RotatedFile(file, path);
    adopted.hold(holdMs);
    adopted.doubtSuccessor();
    const later = this.#files.findIndex((held) => held.file.stat.generation > file.stat.generation);
    const index = later === -1 ? this.#files.length : later;
    this.#files[index - 1]?.replacedBy(adopted);
    const next = this.#files[index];
    if (next !== undefined) adopted.replacedBy(next);
    this.#files.splice(index, 0, adopted);
  }

  /**
   * Opens the file of a generation, if it is kept; it is then kept for so many milliseconds more.
   *
   * @throws {StorageError} when the disk does not tell what has become of it
   */
  async open({ generation, from = 0, holdMs = 0 }: FollowRequest): Promise<OpenRotated | undefined> {
    await this.#lookSoon();
    const held = this.#fileOf((stat) => stat.generation === generation);
    held?.hold(holdMs);
    return held?.open(from);
  }

  /** Forgets a file that must not be read any more. */
  forget(identity: string): void {
    for (const gone of this.#files.filter(({ file }) => file.stat.identity === identity)) {
      const index = this.#files.indexOf(gone);
      this.#files.splice(index, 1);
      // Nothing may lead to what is closed.
      const before = this.#files[index - 1];
      const after = this.#files[index];
      before?.replacedBy(after);
      if (after !== undefined) before?.doubtSuccessor();
      void gone.close();
    }
  }

  /** See {@link PathWatcher}. Of files that come and go while one waits for a look, only the first would be seen. */
  notify(what: Change): boolean {
    if (what === 'content') {
      this.#isTouched = true;
      return false;
    }
    if (what === 'name') {
      this.#changes++;
      this.#changedAt = performance.now();
    }
    this.#looksAtOnce++;
    if (this.#looksAtOnce <= MAX_FILES) void this.#lookSoon();
    return true;
  }

  defersLook(): boolean {
    return false;
  }

  /** Finds out which file is at the path now. Never rejects. */
  look(): Promise<void> {
    this.#looksAtOnce = 0;
    return this.#lookSoon();
  }

  /** Closes those that nobody needs, and finds out whether the newest is cut, where that may be. Never rejects. */
  async tidy(): Promise<void> {
    await this.#renew();
    if (this.#files[0]?.isOver) await this.#lookSoon();
    const newest = this.#files.at(-1);
    const isNotified = newest?.isAtPath && this.#paths.isNotified(this);
    if (isNotified && !this.#isTouched) return;
    this.#isTouched = false;
    // What cannot be looked at was not seen to be cut.
    await newest?.lookForCut().catch(() => undefined);
  }

  /** Closes everything. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#paths.delete(this);
    await (this.#next ?? this.#looking);
    await this.#drop(this.#files.length);
  }

  /** The newest of them: one that was moved away may have come back. */
  #fileOf(isWanted: (stat: StoredFile['stat']) => boolean): RotatedFile | undefined {
    return this.#files.findLast(({ file }) => isWanted(file.stat));
  }

  #lookSoon(): Promise<void> {
    if (this.#looking === undefined && this.#next === undefined) return this.#begin();
    this.#next ??= this.#looking?.then(() => {
      this.#next = undefined;
      return this.#begin();
    });
    return this.#next as Promise<void>;
  }

  #begin(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    const look = this.#look().finally(() => {
      this.#looking = undefined;
    });
    this.#looking = look;
    return look;
  }

  async #look(): Promise<void> {
    await this.#renew();
    const wanted = this.#files.findIndex((held) => !held.isOver);
    await this.#drop(wanted === -1 ? this.#files.length : wanted);
    const newest = this.#files.at(-1);
    if (newest === undefined) return;
    // From before the look: what happens while it is under way, it need not have seen.
    const changes = this.#changes;
    try {
      // To know how much of it is lost, should it be cut.
      await newest.look();
      const { kind, fingerprint } = await this.#root.stat(this.path);
      const isThere = kind === 'file' && fingerprint === newest.file.stat.fingerprint;
      newest.noteSeen(isThere);
      if (kind !== 'file') return;
      if (!isThere) await this.#replace(newest, await this.#root.openRead(this.path));
      this.#count(changes);
    } catch {
      // Nothing is there for the time being, or the disk does not tell: who asks for it is told.
      newest.noteSeen(false);
    }
  }

  /** Finds out whether there were more files at the path than were seen. */
  #count(changes: number): void {
    const surplus = changes - this.#arrivals * CHANGES_A_FILE;
    if (NOTIFIES_EACH_CHANGE && this.#arrivals > 0 && surplus > 0) {
      this.#files.at(-2)?.doubtSuccessor();
      this.#changes -= surplus;
    }
    if (performance.now() - this.#changedAt < SETTLED_MS) return;
    this.#changes = 0;
    this.#arrivals = 0;
  }

  async #replace(newest: RotatedFile, file: StoredFile): Promise<void> {
    const { kind, fingerprint } = file.stat;
    const isNew = kind === 'file' && fingerprint !== newest.file.stat.fingerprint;
    if (isNew && !this.#closed && newest === this.#files.at(-1)) this.#add(file);
    else await file.close();
  }

  /** Adds what has come to the path: it stays until the one before it has gone, which leads to it. */
  #add(file: StoredFile): RotatedFile {
    const added = new RotatedFile(file);
    const before = this.#files.at(-1);
    before?.replacedBy(added);
    if (before !== undefined) this.#arrivals++;
    this.#files.push(added);
    void this.#drop(this.#files.length - MAX_FILES);
    return added;
  }

  async #renew(): Promise<void> {
    await Promise.all(this.#files.map((held) => held.renew()));
  }

  /** Evicts the oldest. Never rejects. */
  async #drop(count: number): Promise<void> {
    if (count <= 0) return;
    const dropped = this.#files.splice(0, count);
    await Promise.all(dropped.map((held) => held.close()));
  }
}
