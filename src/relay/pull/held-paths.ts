import type { FollowRequest } from '../../core/request.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import type { Found } from '../copies/copy-file.ts';

/** How many paths are remembered. */
const MAX_PATHS = 4096;

/** What is remembered of one. */
interface HeldPath {
  /** Until then somebody is expected back. */
  untilMs: number;
  /** Whether the server there knows how far it was followed by one who comes back: it tells if it was cut since. */
  isTracked: boolean;
  /** Generation of the file that was cut, … */
  cutGeneration?: number;
  /** … and when that was found out. */
  cutAtMs: number;
}

/**
 * Paths whose followers come back after each end (`hold`). What comes from there is followed as one who comes back,
 * too, so that the server there keeps what is renamed, replaced or cut meanwhile.
 */
export class HeldPaths {
  /** Those for which somebody has asked last at the end. */
  readonly #paths = new Map<string, HeldPath>();

  /**
   * Notes that somebody follows who will be back within so many milliseconds after an end.
   *
   * @returns whether nobody was expected back
   */
  hold({ key }: ResourcePath, holdMs: number): boolean {
    const nowMs = performance.now();
    const held = this.#paths.get(key) ?? { untilMs: 0, isTracked: false, cutAtMs: 0 };
    const isNew = held.untilMs <= nowMs;
    if (isNew) held.isTracked = false;
    held.untilMs = Math.max(held.untilMs, nowMs + holdMs);
    this.#paths.delete(key);
    this.#paths.set(key, held);
    if (this.#paths.size > MAX_PATHS) this.#paths.delete(this.#paths.keys().next().value as string);
    return isNew;
  }

  /** For how long somebody is expected back, in milliseconds. */
  holdMs({ key }: ResourcePath): number {
    return Math.max(0, (this.#paths.get(key)?.untilMs ?? 0) - performance.now());
  }

  /**
   * Notes that it is followed from here as one who comes back.
   *
   * @returns whether it was before
   */
  track({ key }: ResourcePath): boolean {
    const held = this.#paths.get(key);
    const wasTracked = held?.isTracked === true;
    if (held !== undefined) held.isTracked = true;
    return wasTracked;
  }

  /** Notes that a file was cut: what has been made of it since has the same generation. */
  cut({ key }: ResourcePath, generation: number): void {
    const held = this.#paths.get(key);
    if (held === undefined) return;
    held.cutGeneration = generation;
    held.cutAtMs = performance.now();
  }

  /** Whether what is here is the file that somebody has followed who comes back, as it was when he was there. */
  isSame(path: ResourcePath, found: Found, request: FollowRequest): boolean {
    const { generation, from = 0, holdMs = 0 } = request;
    if (typeof found !== 'object') return found === 'local';
    if (generation === undefined) return true;
    if (found.generation !== generation) return false;
    return from === 0 || !this.#isCut(path, generation, holdMs);
  }

  #isCut({ key }: ResourcePath, generation: number, holdMs: number): boolean {
    const held = this.#paths.get(key);
    return held?.cutGeneration === generation && performance.now() - held.cutAtMs < holdMs;
  }
}
