import type { Root } from '../../storage/root.ts';
import type { StoredFile } from '../../storage/stored-file.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import { Round } from '../arrivals/round.ts';
import { type FollowRequest, returnPosition } from '../request.ts';
import type { OpenRotated, RotatedFile } from './rotated-file.ts';
import { RotatedPath } from './rotated-path.ts';

/** How many paths are held. To let one of them go for another would protect none, where more are asked for in turn. */
const MAX_PATHS = 256;

/** How many paths are looked up in one interval: that costs much more than a look at an open file. */
const MAX_LOOKS = 32;

/** How many open files are looked at at a time. */
const MAX_LOOKS_FOR_CUTS = 32;

/**
 * Watches the paths of followers who come back after each end, so that nothing
 * of a file is lost to them that is renamed, replaced or deleted meanwhile: one
 * timer for all, and only while there are any.
 */
export class Rotations {
  readonly #root: Root;
  readonly #intervalMs: number;
  readonly #paths = new Map<string, RotatedPath>();
  readonly #round = new Round(this.#paths);
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;
  #closed = false;

  /** @param intervalMs time between two looks at each file */
  constructor(root: Root, intervalMs: number) {
    this.#root = root;
    this.#intervalMs = intervalMs;
  }

  /**
   * Holds the file that is at a path, and what takes its place, for so many milliseconds and as long as it is read;
   * not when too many are held.
   *
   * @param position where the follower will be who comes back, if that is known
   * @returns undefined when it is not held
   */
  hold(
    resource: ResourcePath,
    file: StoredFile,
    request: FollowRequest,
    position?: number,
  ): RotatedFile | undefined {
    if (this.#closed) return undefined;
    const held = this.#watched(resource)?.hold(file, request.holdMs ?? 0);
    if (position !== undefined) held?.readTo(position, returnPosition(request));
    return held;
  }

  /** Holds a file, its own from now on, that was at a path before somebody watched it, and what takes its place. */
  async adopt(resource: ResourcePath, file: StoredFile, holdMs: number): Promise<void> {
    const path = this.#closed ? undefined : this.#watched(resource);
    if (path === undefined) await file.close();
    else path.adopt(file, holdMs);
  }

  /**
   * Opens the file that is wanted of those that are, or were, at a path, if it is held; it is then for as long again.
   *
   * @throws {StorageError} when the disk does not tell what has become of it
   */
  async open(resource: ResourcePath, request: FollowRequest): Promise<OpenRotated | undefined> {
    return this.#paths.get(resource.key)?.open(request);
  }

  /** Lets a file go that is not to be had any more; who reads it goes on. */
  forget(identity: string): void {
    for (const path of this.#paths.values()) path.forget(identity);
  }

  /** Lets everything go. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    await this.#looking;
    await Promise.all([...this.#paths.values()].map((path) => this.#remove(path)));
  }

  #watched(resource: ResourcePath): RotatedPath | undefined {
    const known = this.#paths.get(resource.key);
    if (known !== undefined || this.#paths.size >= MAX_PATHS) return known;
    const path = new RotatedPath(resource, this.#root);
    this.#paths.set(resource.key, path);
    this.#timer ??= setInterval(() => this.#tick(), this.#intervalMs).unref();
    return path;
  }

  #tick(): void {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    });
  }

  async #look(): Promise<void> {
    const paths = [...this.#paths.values()].values();
    const lookAtThem = async () => {
      for (const path of paths) await path.lookForCut();
    };
    await Promise.all(Array.from({ length: MAX_LOOKS_FOR_CUTS }, lookAtThem));
    for (let i = Math.min(this.#paths.size, MAX_LOOKS); i > 0; i--) {
      const path = this.#round.next();
      await path?.look();
      if (path?.isEmpty) await this.#remove(path);
    }
  }

  async #remove(path: RotatedPath): Promise<void> {
    this.#paths.delete(path.resource.key);
    if (this.#paths.size === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
    await path.close();
  }
}
