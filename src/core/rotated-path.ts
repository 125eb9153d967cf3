import type { ResourcePath } from '../storage/resource-path.ts';
import type { Root } from '../storage/root.ts';
import type { StoredFile } from '../storage/stored-file.ts';

/** How many files of one path are held; the oldest go. */
const MAX_FILES = 8;

/** How long nothing must have been written to a file that was replaced, … */
const QUIET_MS = 500;

/** … and after which time it counts as drained nevertheless, in milliseconds. */
const MAX_DRAIN_MS = 10_000;

/** What a file is like that is, or was, at a path. */
interface RotatedState {
  /** How many bytes it has. */
  size: number;
  /** How many it has had at most when somebody looked. */
  largest: number;
  /** Whether another file has taken its place. */
  isReplaced: boolean;
  /** Generation of that file, once there is something in it and nobody writes to this one any more. */
  successor: number | undefined;
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
  #holdMs = 0;
  #heldUntil = 0;
  #largest: number;
  #replacedAt = Number.POSITIVE_INFINITY;

  /** @param file its own from now on */
  constructor(file: StoredFile) {
    this.file = file;
    this.#largest = file.stat.size;
  }

  /** Whether nobody reads it, and nobody will come back for it. */
  get isOver(): boolean {
    if (this.file.isShared) this.hold(this.#holdMs);
    return performance.now() > this.#heldUntil;
  }

  /** Holds it for so many milliseconds from now on, or from when nobody reads it any more. */
  hold(holdMs: number): void {
    this.#holdMs = Math.max(this.#holdMs, holdMs);
    this.#heldUntil = Math.max(this.#heldUntil, performance.now() + holdMs);
  }

  /** Tells which file has taken its place. */
  replacedBy(successor: RotatedFile): void {
    this.#successor = successor;
    this.#replacedAt = performance.now();
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
      successor: isLeft && isDrained ? successor.file.stat.generation : undefined,
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
  #closed = false;

  constructor(resource: ResourcePath, root: Root) {
    this.resource = resource;
    this.#root = root;
    this.#unwatch = root.watch(resource, () => void this.look());
  }

  /** Whether it holds no file. */
  get isEmpty(): boolean {
    return this.#files.length === 0;
  }

  /** Holds a file that is at the path for so many milliseconds. */
  hold(file: StoredFile, holdMs: number): void {
    const held = this.#fileOf(({ fingerprint }) => fingerprint === file.stat.fingerprint);
    (held ?? this.#add(file.share())).hold(holdMs);
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
    const wanted = this.#files.findIndex((held) => !held.isOver);
    await this.#drop(wanted === -1 ? this.#files.length : wanted);
    const newest = this.#files.at(-1);
    if (newest === undefined) return;
    try {
      // To know how much of it is lost, should it be cut.
      await newest.look();
      const { kind, fingerprint } = await this.#root.stat(this.resource);
      if (kind !== 'file' || fingerprint === newest.file.stat.fingerprint) return;
      await this.#replace(newest, await this.#root.openRead(this.resource));
    } catch {
      // Nothing is there for the time being, or the disk does not tell: who asks for it is told.
    }
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
    this.#files.at(-1)?.replacedBy(added);
    this.#files.push(added);
    void this.#drop(this.#files.length - MAX_FILES);
    return added;
  }

  /** Lets the oldest go. Never rejects. */
  async #drop(count: number): Promise<void> {
    if (count <= 0) return;
    const dropped = this.#files.splice(0, count);
    // A close that fails has lost nothing: it was only read.
    await Promise.all(dropped.map(({ file }) => file.close().catch(() => undefined)));
  }
}
