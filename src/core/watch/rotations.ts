import type { Root } from '../../storage/root/root.ts';
import type { StoredFile } from '../../storage/stored-file.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import { type FollowRequest, returnPosition } from '../request.ts';
import type { PathWatch } from './path-watch.ts';
import type { RenamedFile } from './renamed-file.ts';
import type { OpenRotated, RotatedFile } from './rotated-file.ts';
import { RotatedPath } from './rotated-path.ts';

/** How many paths are kept. Evicting one of them for another would protect none, where more are asked for in turn. */
const MAX_PATHS = 256;

/**
 * Watches the paths of followers that come back after each end, so that nothing
 * of a file is lost to them that is renamed, replaced or deleted meanwhile. One
 * timer for all, and only while there are any, looks which files are needed no longer, and whether those are cut that
 * were touched.
 */
export class Rotations {
  readonly #root: Root;
  readonly #watch: PathWatch;
  readonly #intervalMs: number;
  readonly #paths = new Map<string, RotatedPath>();
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;
  #closed = false;

  /** @param intervalMs time between two looks at each file */
  constructor(root: Root, watch: PathWatch, intervalMs: number) {
    this.#root = root;
    this.#watch = watch;
    this.#intervalMs = intervalMs;
  }

  /**
   * Keeps the file that is at a path, and what takes its place, for so many milliseconds and as long as it is read;
   * not when too many are kept.
   *
   * @param position where the follower will be that comes back, if that is known
   * @returns undefined when it is not kept
   */
  hold(
    path: ResourcePath,
    file: StoredFile,
    request: FollowRequest,
    position?: number,
  ): RotatedFile | undefined {
    if (this.#closed) return undefined;
    const held = this.#watched(path)?.hold(file, request.holdMs ?? 0);
    if (position !== undefined) held?.readTo(position, returnPosition(request));
    return held;
  }

  /** Keeps a file, its own from now on, that was at a path before somebody watched it, and what takes its place. */
  async adopt(path: ResourcePath, renamed: RenamedFile, holdMs: number): Promise<void> {
    const watched = this.#closed ? undefined : this.#watched(path);
    if (watched === undefined) await renamed.file.close();
    else watched.adopt(renamed, holdMs);
  }

  /**
   * Opens the file that is wanted of those that are, or were, at a path, if it is kept; it is then kept for as long
   * again.
   *
   * @throws {StorageError} when the disk does not tell what has become of it
   */
  async open(path: ResourcePath, request: FollowRequest): Promise<OpenRotated | undefined> {
    return this.#paths.get(path.key)?.open(request);
  }

  /** Forgets a file that must not be read any more; those who read it go on. */
  forget(identity: string): void {
    for (const watched of this.#paths.values()) watched.forget(identity);
  }

  /** Closes everything. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    await this.#looking;
    await Promise.all([...this.#paths.values()].map((watched) => this.#remove(watched)));
  }

  #watched(path: ResourcePath): RotatedPath | undefined {
    const known = this.#paths.get(path.key);
    if (known !== undefined || this.#paths.size >= MAX_PATHS) return known;
    const watched = new RotatedPath(path, this.#root, this.#watch);
    this.#paths.set(path.key, watched);
    this.#timer ??= setInterval(() => this.#tick(), this.#intervalMs).unref();
    return watched;
  }

  #tick(): void {
    this.#looking ??= this.#tidy().finally(() => {
      this.#looking = undefined;
    });
  }

  async #tidy(): Promise<void> {
    for (const watched of [...this.#paths.values()]) {
      await watched.tidy();
      if (watched.isEmpty) await this.#remove(watched);
    }
  }

  async #remove(watched: RotatedPath): Promise<void> {
    this.#paths.delete(watched.path.key);
    if (this.#paths.size === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
    await watched.close();
  }
}
