import { TELLS_EACH_CHANGE } from '../storage/name-watches.ts';
import type { ResourcePath } from '../storage/resource-path.ts';
import type { Root } from '../storage/root.ts';
import type { StoredFile } from '../storage/stored-file.ts';
import type { Successor } from './feed.ts';

/** How many files of one path are held; the oldest go. */
const MAX_FILES = 8;

/** How long nothing must have been written to a file that was replaced, … */
const QUIET_MS = 500;

/** … and after which time it counts as drained nevertheless, in milliseconds. */
const MAX_DRAIN_MS = 10_000;

/** Changes of a name that one file makes which takes the place of another: the old one goes, the new one comes. */
const CHANGES_A_FILE = 2;

/** Time after which no change is still to be told that has happened. */
const SETTLED_MS = 1000;

/** What a file is like that is, or was, at a path. */
interface RotatedState {
  /** How many bytes it has. */
  size: number;
  /** How many it has had at most when somebody looked. */
  largest: number;
  /** Whether another file has taken its place. */
  isReplaced: boolean;
  /** That file, once there is something in it and nobody writes to this one any more. */
  successor: Successor | undefined;
}

/** The same, with the file, which whoever asked for it closes. */
export interface OpenRotated extends RotatedState {
  file: StoredFile;
}

/** A file that is, or was, at a path. */
class RotatedFile {
  readonly file: StoredFile;
  /** Which file took its place. */
  #successor: RotatedFile | undefined;
  /** Others by which it is read, or was. */
  #readings: StoredFile[] = [];
  #holdMs = 0;
  #heldUntil = 0;
  #largest: number;
  #replacedAt = Number.POSITIVE_INFINITY;
  #isUnsure = false;

  /** @param file its own from now on */
  constructor(file: StoredFile) {
    this.file = file;
    this.#largest = file.stat.size;
  }

  /** Whether nobody reads it, and nobody will come back for it. */
  get isOver(): boolean {
    return performance.now() > this.#heldUntil;
  }

  /** Holds it for so many milliseconds from now on. */
  hold(holdMs: number): void {
    this.#holdMs = Math.max(this.#holdMs, holdMs);
    this.#heldUntil = Math.max(this.#heldUntil, performance.now() + holdMs);
  }

  /** Holds it for so many milliseconds from when nobody reads it any more through `file`, which is the same. */
  holdAfter(file: StoredFile, holdMs: number): void {
    const isKnown = [this.file, ...this.#readings].some((known) => known.sharesWith(file));
    // Two of one open file would hold each other.
    if (!isKnown) this.#readings.push(file.share());
    this.hold(holdMs);
  }

  /** Finds out whether it is still read. */
  async renew(): Promise<void> {
    const over = this.#readings.filter((file) => !file.isShared);
    this.#readings = this.#readings.filter((file) => file.isShared);
    if (this.#readings.length > 0 || this.file.isShared) this.hold(this.#holdMs);
    await Promise.all(over.map(closeQuietly));
  }

  /** Lets it go. Never rejects. */
  async close(): Promise<void> {
    await Promise.all([this.file, ...this.#readings].map(closeQuietly));
  }

  /** Tells which file has taken its place. */
  replacedBy(successor: RotatedFile): void {
    this.#successor = successor;
    this.#replacedAt = performance.now();
  }

  /** Tells that other files may have been there before that one. */
  doubtSuccessor(): void {
    this.#isUnsure = true;
  }

  /** @throws {StorageError} when the disk does not tell */
  async open(): Promise<OpenRotated> {
    const file = this.file.share();
    try {
      return { file, ...(await this.look()) };
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** @throws {StorageError} when the disk does not tell */
  async look(): Promise<RotatedState> {
    const successor = this.#successor;
    // Looked at before its own size: what was written until its writers went on elsewhere is in it.
    const isLeft = successor !== undefined && (await successor.hasBytes());
    const { size, mtimeNs } = await this.file.look();
    const quietMs = Date.now() - Number(mtimeNs / 1_000_000n);
    const isDrained = quietMs >= QUIET_MS || performance.now() - this.#replacedAt >= MAX_DRAIN_MS;
    this.#largest = Math.max(this.#largest, size);
    return {
      size,
      largest: this.#largest,
      isReplaced: successor !== undefined,
      successor:
        isLeft && isDrained
          ? { generation: successor.file.stat.generation, isUnsure: this.#isUnsure }
          : undefined,
    };
  }

  /** Whether somebody has begun to write to it, or has gone past it. */
  async hasBytes(): Promise<boolean> {
    if (this.#successor !== undefined) return true;
    const { size } = await this.file.state();
    return size > 0;
  }
}

/**
 * The files that have been at a path one after the other while somebody followed
 * it who comes back: what is renamed or deleted is held open until everybody has
 * had the rest of it.
 */
export class RotatedPath {
  readonly resource: ResourcePath;
  readonly #root: Root;
  /** The oldest first. */
  #files: RotatedFile[] = [];
  readonly #unwatch: () => void;
  #looking: Promise<void> | undefined;
  /** Whether something has changed since the look began that is under way. */
  #isStale = false;
  /** How often the name has changed since all was settled, … */
  #changes = 0;
  #changedAt = 0;
  /** … and how many files have been seen to come. */
  #arrivals = 0;
  #closed = false;

  constructor(resource: ResourcePath, root: Root) {
    this.resource = resource;
    this.#root = root;
    this.#unwatch = root.watch(resource, () => this.#changed());
  }

  /** Whether it holds no file. */
  get isEmpty(): boolean {
    return this.#files.length === 0;
  }

  /** Holds a file that is at the path for so many milliseconds. */
  hold(file: StoredFile, holdMs: number): void {
    const held = this.#fileOf(({ fingerprint }) => fingerprint === file.stat.fingerprint);
    if (held === undefined) this.#add(file.share()).hold(holdMs);
    else held.holdAfter(file, holdMs);
  }

  /**
   * Holds a file, its own from now on, that was at the path before anybody watched it; others may have been there
   * between it and the next that is known.
   */
  adopt(file: StoredFile, holdMs: number): void {
    const adopted = new RotatedFile(file);
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
   * Opens the file of this generation, if it is held; it is then for so many milliseconds more.
   *
   * @throws {StorageError} when the disk does not tell what has become of it
   */
  async open(generation: number, holdMs: number): Promise<OpenRotated | undefined> {
    await this.look();
    const held = this.#fileOf((stat) => stat.generation === generation);
    held?.hold(holdMs);
    return held?.open();
  }

  /** Finds out which file is at the path now, and lets those go that nobody wants. Never rejects. */
  look(): Promise<void> {
    this.#isStale = true;
    this.#looking ??= this.#lookUntilFresh();
    return this.#looking;
  }

  /** Lets everything go. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#unwatch();
    await this.#looking;
    await this.#drop(this.#files.length);
  }

  /** The newest of them: one that was moved away may have come back. */
  #fileOf(isWanted: (stat: StoredFile['stat']) => boolean): RotatedFile | undefined {
    return this.#files.findLast(({ file }) => isWanted(file.stat));
  }

  async #lookUntilFresh(): Promise<void> {
    while (this.#isStale && !this.#closed) {
      this.#isStale = false;
      await this.#look();
    }
    this.#looking = undefined;
  }

  async #look(): Promise<void> {
    await Promise.all(this.#files.map((held) => held.renew()));
    const wanted = this.#files.findIndex((held) => !held.isOver);
    await this.#drop(wanted === -1 ? this.#files.length : wanted);
    const newest = this.#files.at(-1);
    if (newest === undefined) return;
    // From before the look: what happens while it is under way, it need not have seen.
    const changes = this.#changes;
    try {
      // To know how much of it is lost, should it be cut.
      await newest.look();
      const { kind, fingerprint } = await this.#root.stat(this.resource);
      if (kind !== 'file') return;
      if (fingerprint !== newest.file.stat.fingerprint)
        await this.#replace(newest, await this.#root.openRead(this.resource));
      this.#count(changes);
    } catch {
      // Nothing is there for the time being, or the disk does not tell: who asks for it is told.
    }
  }

  #changed(): void {
    this.#changes++;
    this.#changedAt = performance.now();
    void this.look();
  }

  /** Finds out whether there were more files at the path than were seen. */
  #count(changes: number): void {
    const surplus = changes - this.#arrivals * CHANGES_A_FILE;
    if (TELLS_EACH_CHANGE && this.#arrivals > 0 && surplus > 0) {
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

  /** Holds it for as long as the one before it, which leads to it. */
  #add(file: StoredFile): RotatedFile {
    const added = new RotatedFile(file);
    const before = this.#files.at(-1);
    before?.replacedBy(added);
    if (before !== undefined) this.#arrivals++;
    this.#files.push(added);
    void this.#drop(this.#files.length - MAX_FILES);
    return added;
  }

  /** Lets the oldest go. Never rejects. */
  async #drop(count: number): Promise<void> {
    if (count <= 0) return;
    const dropped = this.#files.splice(0, count);
    await Promise.all(dropped.map((held) => held.close()));
  }
}

/** A close that fails has lost nothing: it was only read. */
async function closeQuietly(file: StoredFile): Promise<void> {
  await file.close().catch(() => undefined);
}
