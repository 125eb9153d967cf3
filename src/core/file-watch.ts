import type { Root } from '../storage/root.ts';
import type { WriteTurns } from '../storage/write-turns.ts';
import { type HttpfstreamError, ResourceGoneError, StreamTruncatedError } from '../wire/errors.ts';
import type { ResourcePath } from '../wire/resource-path.ts';
import { Round } from './arrivals/round.ts';
import type { Feed } from './feed.ts';

/** Time between two rounds of looks. */
const INTERVAL_MS = 250;

/** In how many rounds each file has its turn at the earliest. */
const ROUNDS = 4;

/** How much of the processor's time the rounds take at most. */
const SHARE = 0.003;

/** Time between a change of which the system tells and the look at it: what changes once changes again. */
const NOTICE_MS = 100;

/** Who has to know what becomes of a file. */
export interface Watcher {
  readonly feed: Feed;
  /** Called when the file was deleted, made anew or cut. */
  lose(error: HttpfstreamError): void;
}

/** How long looks at what the system tells of may take in a row. */
const MAX_LOOKS_MS = 5;

interface Watched {
  watcher: Watcher;
  resource: ResourcePath;
  unwatch: () => void;
  /** How much was committed when the system told of a change last: what it tells of our own writes is no news. */
  committed: number;
}

/**
 * Finds out what other programs do to files that somebody appends to, or follows for as long as the stream is open. A write
 * looks by itself; this is for those that are quiet. What
 * the system tells of their directories makes it soon; rounds of looks, within a share of the processor's time however many
 * there are, make it certain; while the disk is slow there are none.
 */
export class FileWatch {
  readonly #root: Root;
  readonly #turns: WriteTurns;
  readonly #watched = new Map<Watcher, Watched>();
  readonly #round = new Round(this.#watched);
  /** Those of whose files the system has told something. */
  readonly #changed = new Set<Watched>();
  #timer: NodeJS.Timeout | undefined;
  #noticeTimer: NodeJS.Timeout | undefined;

  constructor(root: Root, turns: WriteTurns) {
    this.#root = root;
    this.#turns = turns;
  }

  /**
   * Watches until {@link delete}. Idempotent.
   *
   * @param resource the name under which the file was opened
   */
  add(watcher: Watcher, resource: ResourcePath): void {
    if (this.#watched.has(watcher)) return;
    const watched: Watched = {
      watcher,
      resource,
      committed: watcher.feed.committed,
      unwatch: this.#root.watch(resource, (what) => this.#notice(watched, what)),
    };
    this.#watched.set(watcher, watched);
    this.#timer ??= setInterval(() => this.#lookAround(), INTERVAL_MS).unref();
  }

  /** Idempotent. */
  delete(watcher: Watcher): void {
    const watched = this.#watched.get(watcher);
    if (watched === undefined) return;
    watched.unwatch();
    this.#watched.delete(watcher);
    this.#changed.delete(watched);
    if (this.#watched.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /**
   * Finds out what another program has done to the file of a feed. Undefined when all is well.
   *
   * @param resource the name under which the file was opened
   */
  examine(feed: Feed, resource: ResourcePath): HttpfstreamError | undefined {
    try {
      const found = this.#turns.inLine(() => this.#root.peek(resource));
      if (found === undefined) return new ResourceGoneError('the file was deleted');
      if (found.identity !== feed.file.stat.identity) return new ResourceGoneError('the file was made anew');
      return found.size < feed.committed ? new StreamTruncatedError('the file was cut') : undefined;
    } catch {
      // A write will tell.
      return undefined;
    }
  }

  #notice(watched: Watched, what: 'name' | 'content'): void {
    const { committed } = watched.watcher.feed;
    const isOurs = what === 'content' && committed !== watched.committed;
    watched.committed = committed;
    if (isOurs) return;
    this.#changed.add(watched);
    this.#noticeTimer ??= setTimeout(() => this.#lookAtChanged(), NOTICE_MS).unref();
  }

  /** Those that are left have their turn after the same time again. */
  #lookAtChanged(): void {
    this.#noticeTimer = undefined;
    const endMs = performance.now() + MAX_LOOKS_MS;
    for (const each of this.#changed) {
      if (!this.#turns.isInLine(0) || performance.now() > endMs) break;
      this.#changed.delete(each);
      this.#look(each);
    }
    if (this.#changed.size > 0)
      this.#noticeTimer = setTimeout(() => this.#lookAtChanged(), NOTICE_MS).unref();
  }

  #lookAround(): void {
    // A disk that is slow must not hold everybody up.
    if (!this.#turns.isInLine(0)) return;
    const endMs = performance.now() + INTERVAL_MS * SHARE;
    for (let count = Math.ceil(this.#watched.size / ROUNDS); count > 0; count--) {
      const watched = this.#round.next();
      if (watched === undefined) return;
      this.#look(watched);
      if (performance.now() > endMs) return;
    }
  }

  #look({ watcher, resource }: Watched): void {
    const change = this.examine(watcher.feed, resource);
    if (change !== undefined) watcher.lose(change);
  }
}
