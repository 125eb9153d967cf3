import type { StoredFile } from '../../storage/stored-file.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import { CutWatch } from './cut-watch.ts';

/** How long nothing must have been written to a file that was replaced, … */
const QUIET_MS = 500;

/** … and after which time it counts as drained nevertheless, in milliseconds. */
const MAX_DRAIN_MS = 10_000;

/**
 * How long one is kept at most that is not at its path any more, in milliseconds, however often somebody comes back.
 */
const MAX_LEFT_MS = 3_600_000;

/** While at most so many readings last, it is kept; while there are more, from when the next begins. */
const MAX_READINGS = 64;

/** A file that took the place of another. */
export interface Successor {
  generation: number;
  /** Whether nobody knows if others were there in between, or this is the end of the one before. */
  isUnsure: boolean;
}

/** What a file is like that is, or was, at a path, for a follower that comes back. */
interface RotatedState {
  /** How many bytes it has. */
  size: number;
  /** Whether it was cut since the follower got to where it is. */
  isCut: boolean;
  /** How many bytes it is known to have had before it was cut. */
  sizeBeforeCut: number;
  /** Whether another file has taken its place. */
  isReplaced: boolean;
  /** That file, once there is something in it and nobody writes to this one any more. */
  successor: Successor | undefined;
}

/** The same, with the file, which whoever asked for it closes. */
export interface OpenRotated extends RotatedState {
  file: StoredFile;
  /** The name by which it was found, if it was not seen at its path. */
  foundAt: ResourcePath | undefined;
}

/** A file that is, or was, at a path. */
export class RotatedFile {
  readonly file: StoredFile;
  readonly #foundAt: ResourcePath | undefined;
  /** Which file took its place. */
  #successor: RotatedFile | undefined;
  /** Others by which it is read, or was. */
  #readings: StoredFile[] = [];
  #holdMs = 0;
  #heldUntil = 0;
  readonly #cuts: CutWatch;
  #replacedAt = Number.POSITIVE_INFINITY;
  /** Since when it is not at its path, as far as was seen. */
  #leftAt = Number.POSITIVE_INFINITY;
  #isUnsure = false;

  /**
   * @param file its own from now on
   * @param foundAt the name by which it was found, if it was not seen at its path
   */
  constructor(file: StoredFile, foundAt?: ResourcePath) {
    this.file = file;
    this.#foundAt = foundAt;
    this.#cuts = new CutWatch(file.stat.size);
  }

  /** Whether nobody reads it, and nobody is expected back for it. */
  get isOver(): boolean {
    return !this.#isRead && performance.now() > this.#heldUntil;
  }

  /** Keeps it for so many milliseconds from now on, unless it has been away from its path for too long. */
  hold(holdMs: number): void {
    this.#holdMs = Math.max(this.#holdMs, holdMs);
    const until = Math.max(this.#heldUntil, performance.now() + holdMs);
    this.#heldUntil = Math.min(until, this.#leftAt + MAX_LEFT_MS);
  }

  /** Whether it is at its path, as far as was seen. */
  get isAtPath(): boolean {
    return this.#leftAt === Number.POSITIVE_INFINITY;
  }

  /** Tells whether it is at its path. */
  noteSeen(isThere: boolean): void {
    this.#leftAt = isThere ? Number.POSITIVE_INFINITY : Math.min(this.#leftAt, performance.now());
  }

  /** Keeps it for so many milliseconds from when nobody reads it any more through `file`, which is the same. */
  holdAfter(file: StoredFile, holdMs: number): void {
    const isKnown = [this.file, ...this.#readings].some((known) => known.sharesWith(file));
    // Two of one open file would keep each other open.
    if (!isKnown && this.#readings.length < MAX_READINGS) this.#readings.push(file.share());
    this.hold(holdMs);
  }

  get #isRead(): boolean {
    return [this.file, ...this.#readings].some((file) => file.isShared);
  }

  /** Finds out whether it is still read. */
  async renew(): Promise<void> {
    if (this.#isRead) this.hold(this.#holdMs);
    const over = this.#readings.filter((file) => !file.isShared);
    this.#readings = this.#readings.filter((file) => file.isShared);
    await Promise.all(over.map(closeAnyway));
  }

  /** Closes it. Never rejects. */
  async close(): Promise<void> {
    await Promise.all([this.file, ...this.#readings].map(closeAnyway));
  }

  /** Tells which file has taken its place; undefined when that is gone, and none has come since. */
  replacedBy(successor: RotatedFile | undefined): void {
    this.#successor = successor;
    this.#replacedAt = successor === undefined ? Number.POSITIVE_INFINITY : performance.now();
  }

  /** Tells that other files may have been there before that one. */
  doubtSuccessor(): void {
    this.#isUnsure = true;
  }

  /** Tells where a follower will be that comes back, and where it was before. */
  readTo(position: number, from: number | undefined): void {
    this.#cuts.readTo(position, from);
  }

  /**
   * @param from where the follower is, which is then told if it was cut
   * @throws {StorageError} when the disk does not tell
   */
  async open(from: number): Promise<OpenRotated> {
    const file = this.file.share();
    try {
      const state = await this.look();
      const { sizeBeforeCut } = this.#cuts;
      const isCut = this.#cuts.isCutFor(from, state.size);
      if (isCut) this.#cuts.notified(from);
      return { file, ...state, isCut, sizeBeforeCut, foundAt: this.#foundAt };
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /**
   * Finds out whether it is cut, and no more.
   *
   * @throws {StorageError} when the disk does not tell
   */
  async lookForCut(): Promise<void> {
    await this.#cuts.observe(this.file.state());
  }

  /** @throws {StorageError} when the disk does not tell */
  async look(): Promise<Pick<RotatedState, 'size' | 'isReplaced' | 'successor'>> {
    const successor = this.#successor;
    // Looked at before its own size: what was written until its writers went on elsewhere is in it.
    const isLeft = successor !== undefined && (await successor.hasBytes());
    const { size, mtimeNs } = await this.#cuts.observe(this.file.look());
    const quietMs = Date.now() - Number(mtimeNs / 1_000_000n);
    const isQuiet = quietMs >= QUIET_MS;
    const isDrained = isQuiet || performance.now() - this.#replacedAt >= MAX_DRAIN_MS;
    return {
      size,
      isReplaced: successor !== undefined,
      successor:
        isLeft && isDrained
          ? { generation: successor.file.stat.generation, isUnsure: this.#isUnsure || !isQuiet }
          : undefined,
    };
  }

  /** Whether somebody has begun to write to it, or has gone past it. */
  async hasBytes(): Promise<boolean> {
    if (this.#successor !== undefined) return true;
    // It may be closed meanwhile.
    const file = this.file.share();
    const { size } = await file.state().finally(() => closeAnyway(file));
    return size > 0;
  }
}

/** A close that fails has lost nothing: it was only read. */
async function closeAnyway(file: StoredFile): Promise<void> {
  await file.close().catch(() => undefined);
}
