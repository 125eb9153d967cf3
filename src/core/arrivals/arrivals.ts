import type { FileStat } from '../../storage/file-io.ts';
import { COARSEST_TICK_MS } from '../../storage/file-io.ts';
import type { Root } from '../../storage/root.ts';
import { ResourceNotFoundError } from '../../wire/errors.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import { AwaitedDirectory } from './awaited-directory.ts';
import { Round } from './round.ts';

/** How many looks at the disk there are in one interval, however many wait for however many files. */
const MAX_LOOKS = 64;

/** How many names of a directory are read in one look, … */
const MAX_NAMES = 10_000;

/** … and how many of them cost as much as one look. */
const NAMES_A_LOOK = 200;

interface Waiter {
  /** In terms of `performance.now()`. */
  deadline: number;
  settle: (isThere: boolean) => void;
}

/** One for each path that is waited for. */
interface Place {
  readonly resource: ResourcePath;
  readonly waiters: Set<Waiter>;
  directory: AwaitedDirectory<Place>;
}

/**
 * Looks now and then for files that are waited for: one timer for all of them, and
 * one look for all that will appear in the same directory, which costs more only
 * when the directory has changed. What this server makes it is told at once.
 */
export class Arrivals {
  readonly #root: Root;
  readonly #intervalMs: number;
  readonly #places = new Map<string, Place>();
  readonly #directories = new Map<string, AwaitedDirectory<Place>>();
  readonly #placeRound = new Round(this.#places);
  readonly #directoryRound = new Round(this.#directories);
  #timer: NodeJS.Timeout | undefined;
  #isLooking = false;
  #closed = false;

  /** @param intervalMs time between two looks */
  constructor(root: Root, intervalMs: number) {
    this.#root = root;
    this.#intervalMs = intervalMs;
  }

  /**
   * Resolves when something is at the path, with true, or when the time is over, with false.
   * What the disk refuses to tell counts as there: whoever opens it is told why.
   *
   * @throws the signal's reason when it aborts
   */
  async wait(resource: ResourcePath, timeoutMs: number, signal: AbortSignal): Promise<boolean> {
    signal.throwIfAborted();
    if (this.#closed) return false;
    const place = this.#places.get(resource.key) ?? this.#addPlace(resource);
    let waiter: Waiter | undefined;
    let abort: (() => void) | undefined;
    try {
      return await new Promise<boolean>((resolve, reject) => {
        abort = () => reject(signal.reason);
        signal.addEventListener('abort', abort);
        waiter = { deadline: performance.now() + timeoutMs, settle: resolve };
        place.waiters.add(waiter);
        this.#timer ??= setInterval(() => this.#tick(), this.#intervalMs).unref();
      });
    } finally {
      signal.removeEventListener('abort', abort as () => void);
      place.waiters.delete(waiter as Waiter);
      if (place.waiters.size === 0) this.#removePlace(place);
    }
  }

  /** Tells that a file is at the path. */
  notify(resource: ResourcePath): void {
    settle(this.#places.get(resource.key), true);
  }

  /** Nobody waits any longer. */
  close(): void {
    this.#closed = true;
    for (const place of this.#places.values()) settle(place, false);
  }

  #addPlace(resource: ResourcePath): Place {
    const directory = this.#directoryAt(resource, 0);
    const place = { resource, waiters: new Set<Waiter>(), directory };
    this.#places.set(resource.key, place);
    directory.add(place);
    return place;
  }

  #removePlace(place: Place): void {
    this.#places.delete(place.resource.key);
    this.#leaveDirectory(place);
    if (this.#places.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Waits in the directory that is so many names deep. */
  #move(place: Place, depth: number): void {
    this.#leaveDirectory(place);
    place.directory = this.#directoryAt(place.resource, depth);
    place.directory.add(place);
  }

  #leaveDirectory(place: Place): void {
    const { directory } = place;
    directory.delete(place);
    if (directory.isEmpty) this.#directories.delete(directory.resource.key);
  }

  #directoryAt(resource: ResourcePath, depth: number): AwaitedDirectory<Place> {
    const prefix = resource.upTo(depth);
    const directory = this.#directories.get(prefix.key) ?? new AwaitedDirectory<Place>(prefix);
    this.#directories.set(prefix.key, directory);
    return directory;
  }

  #tick(): void {
    const now = performance.now();
    for (const { waiters } of this.#places.values()) {
      for (const waiter of waiters) if (now >= waiter.deadline) waiter.settle(false);
    }
    if (!this.#isLooking) void this.#look();
  }

  /** Never rejects. */
  async #look(): Promise<void> {
    this.#isLooking = true;
    let looks = 0;
    for (let i = this.#directories.size; i > 0 && looks < MAX_LOOKS / 2; i--) {
      const directory = this.#directoryRound.next();
      if (directory !== undefined) looks += await this.#lookInto(directory);
    }
    // Not everything that comes changes the directory: the target of a symlink, say.
    for (let i = this.#places.size; i > 0 && looks < MAX_LOOKS; i--, looks++) {
      const place = this.#placeRound.next();
      if (place !== undefined && isArrived(await this.#kindOf(place.resource))) settle(place, true);
    }
    this.#isLooking = false;
  }

  /** @returns how many looks it has cost */
  async #lookInto(directory: AwaitedDirectory<Place>): Promise<number> {
    const now = Date.now();
    const stat = await this.#root.stat(directory.resource).catch(() => undefined);
    if (stat?.kind !== 'directory') {
      this.#startOver(directory);
      return 1;
    }
    const state = `${stat.identity} ${stat.mtimeNs}`;
    if (state === directory.seen) return 1;
    // Within a tick a directory may change once more and look as it did.
    const isSettled = now - Number(stat.mtimeNs / 1_000_000n) > COARSEST_TICK_MS;
    directory.seen = isSettled ? state : undefined;
    const { found, count } = await this.#namesIn(directory);
    // Those that are left have their turn after a while.
    const entered = found.slice(0, MAX_LOOKS);
    for (const name of entered) await this.#enter(directory, name);
    return 1 + entered.length + count / NAMES_A_LOOK;
  }

  /** The directory has gone, or cannot be looked at: what is waited for in it is looked for from the top. */
  #startOver({ resource, names }: AwaitedDirectory<Place>): void {
    if (resource.isRoot) return;
    for (const places of [...names.values()]) for (const place of [...places]) this.#move(place, 0);
  }

  /** Which of the names that are waited for are in a directory. */
  async #namesIn({ resource, names }: AwaitedDirectory<Place>): Promise<{ found: string[]; count: number }> {
    const found: string[] = [];
    let count = 0;
    try {
      for await (const name of this.#root.names(resource)) {
        if (names.has(name)) found.push(name);
        count++;
        if (count === MAX_NAMES) break;
      }
    } catch {
      // Gone meanwhile; or it will be said to those who open it.
    }
    return { found, count };
  }

  /** Something has one of the names. */
  async #enter({ resource, names }: AwaitedDirectory<Place>, name: string): Promise<void> {
    const [first] = names.get(name) ?? [];
    if (first === undefined) return;
    const depth = resource.segments.length + 1;
    const kind = await this.#kindOf(first.resource.upTo(depth));
    for (const place of [...(names.get(name) ?? [])]) {
      const isThere = place.resource.segments.length === depth;
      if (isThere ? isArrived(kind) : kind === 'unknown') settle(place, true);
      else if (!isThere && kind === 'directory') this.#move(place, depth);
    }
  }

  async #kindOf(resource: ResourcePath): Promise<Kind> {
    try {
      return (await this.#root.stat(resource)).kind;
    } catch (error) {
      return error instanceof ResourceNotFoundError ? 'nothing' : 'unknown';
    }
  }
}

/** What is at a path, if the disk tells. */
type Kind = FileStat['kind'] | 'nothing' | 'unknown';

function isArrived(kind: Kind): boolean {
  return kind === 'file' || kind === 'unknown';
}

function settle(place: Place | undefined, isThere: boolean): void {
  for (const waiter of place?.waiters ?? []) waiter.settle(isThere);
}
