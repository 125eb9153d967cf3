import type { Root } from '../../storage/root/root.ts';
import type { WriteTurns } from '../../storage/write-turns.ts';
import { type HttpfstreamError, ResourceGoneError, StreamTruncatedError } from '../../wire/errors.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import type { Feed } from '../readers/feed.ts';
import type { PathWatch, PathWatcher } from './path-watch.ts';

/** How long nothing must have been written until the file is looked at: each write looks by itself. */
const REST_MS = 500;

/** Who is notified of what other programs do to a file. */
export interface Watcher {
  readonly feed: Feed;
  /** Called when the file was deleted, made anew or cut. */
  lose(error: HttpfstreamError): void;
  /** Called when there is more in it than is committed. */
  grew?(): void;
}

/**
 * Finds out what other programs do to files that somebody appends to, or follows for as long as the stream is open. A
 * write looks by itself; this is for those that are quiet.
 */
export class FileWatch {
  readonly #root: Root;
  readonly #turns: WriteTurns;
  readonly #paths: PathWatch;
  readonly #watched = new Map<Watcher, PathWatcher>();

  constructor(root: Root, turns: WriteTurns, paths: PathWatch) {
    this.#root = root;
    this.#turns = turns;
    this.#paths = paths;
  }

  /**
   * Watches until {@link delete}. Idempotent.
   *
   * @param path the name under which the file was opened
   */
  add(watcher: Watcher, path: ResourcePath): void {
    if (this.#watched.has(watcher)) return;
    const watched = new WatchedFile(this, watcher, path);
    this.#watched.set(watcher, watched);
    this.#paths.add(watched);
  }

  /** Idempotent. */
  delete(watcher: Watcher): void {
    const watched = this.#watched.get(watcher);
    if (watched === undefined) return;
    this.#watched.delete(watcher);
    this.#paths.delete(watched);
  }

  /**
   * Finds out what another program has done to the file of a feed. Undefined when all is well.
   *
   * @param path the name under which the file was opened
   */
  examine(feed: Feed, path: ResourcePath): HttpfstreamError | undefined {
    return changeOf(feed, this.peek(path));
  }

  /** What is at a path; undefined when the disk does not tell: a write will. */
  peek(path: ResourcePath): Found | undefined {
    try {
      return { file: this.#turns.inLine(() => this.#root.peek(path)) };
    } catch {
      return undefined;
    }
  }
}

/** One file that is watched. */
class WatchedFile implements PathWatcher {
  readonly path: ResourcePath;
  readonly isWaiting = false;
  readonly needsAll = false;
  readonly #files: FileWatch;
  readonly #watcher: Watcher;
  /** How much was committed when it was last asked for, and when that had grown. */
  #known: number;
  #grewAtMs = Number.NEGATIVE_INFINITY;

  constructor(files: FileWatch, watcher: Watcher, path: ResourcePath) {
    this.#files = files;
    this.#watcher = watcher;
    this.path = path;
    this.#known = watcher.feed.committed;
  }

  notify(): boolean {
    return true;
  }

  defersLook(): boolean {
    const nowMs = performance.now();
    const { committed } = this.#watcher.feed;
    if (committed !== this.#known) this.#grewAtMs = nowMs;
    this.#known = committed;
    return nowMs - this.#grewAtMs < REST_MS;
  }

  look(): void {
    const { feed } = this.#watcher;
    const found = this.#files.peek(this.path);
    const change = changeOf(feed, found);
    if (change !== undefined) this.#watcher.lose(change);
    else if (found?.file !== undefined && found.file.size > feed.committed) this.#watcher.grew?.();
  }
}

/** What a path leads to. */
interface Found {
  /** Undefined when there is nothing. */
  file: ReturnType<Root['peek']>;
}

function changeOf(feed: Feed, found: Found | undefined): HttpfstreamError | undefined {
  if (found === undefined) return undefined;
  const { file } = found;
  if (file === undefined) return new ResourceGoneError('the file was deleted');
  if (file.identity !== feed.file.stat.identity) return new ResourceGoneError('the file was made anew');
  return file.size < feed.committed ? new StreamTruncatedError('the file was cut') : undefined;
}
