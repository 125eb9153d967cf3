import { PatternTree } from '../../rights/path-pattern.ts';
import { NOT_DURABLE, type Records } from '../../storage/records/records.ts';
import type { Report } from '../../storage/report.ts';
import type { Root } from '../../storage/root/root.ts';
import { QuotaExceededError, StorageBusyError } from '../../wire/errors.ts';

/** How long changes of the numbers wait to be remembered. */
const SAVE_MS = 10_000;

/** Time between two walks, … */
const WALK_INTERVAL_MS = 24 * 60 * 60 * 1000;

/** … or, when something may be counted wrong, so many times as long as the last one took. */
const WALK_REST = 20;

/** How many names a start waits for until those of a quota that is new are counted: a moment. */
const FIRST_NAMES = 10_000;

/** How far the clock of a file system may be behind. */
const CLOCK_MS = 1000;

/** How much may be stored at all paths together that a pattern matches. */
export interface QuotaRule {
  pattern: string;
  bytes: number;
}

/** A rule, and what there is of what it is about. */
export class Quota {
  readonly pattern: string;
  limitBytes: number;
  /** Whether it is known how many bytes are stored: not of one that is new, until a walk has been there. */
  isCounted = true;
  /** How many bytes are stored; of one that is not counted, by how many that has changed. */
  usedBytes = 0;
  /** How many are about to be. */
  takenBytes = 0;
  /** How many the walk has found that is under way. */
  foundBytes = 0;

  constructor({ pattern, bytes }: QuotaRule) {
    this.pattern = pattern;
    this.limitBytes = bytes;
  }

  /** @throws {QuotaExceededError} when so many bytes more do not fit */
  assertFits(bytes: number): void {
    if (this.usedBytes + this.takenBytes + bytes <= this.limitBytes) return;
    throw new QuotaExceededError(`the quota of ${this.limitBytes} bytes for ${this.pattern} is used up`);
  }
}

/** What keeps anything new from beginning where these count: whether it fits is not known. */
export function shortageOf(quotas: readonly Quota[]): StorageBusyError | undefined {
  const uncounted = quotas.find(({ isCounted }) => !isCounted);
  if (uncounted === undefined) return undefined;
  return new StorageBusyError(`what is stored at ${uncounted.pattern} is being counted: it has a new quota`);
}

/** What the walk is told of a file. */
export interface CountedFile {
  /** How many of its bytes are counted, … */
  readonly countedBytes: number;
  /** … and by which. */
  readonly quotas: readonly Quota[];
}

/** What quotas are counted with. */
export interface QuotasOptions {
  rules: readonly QuotaRule[];
  root: Root;
  records: Records;
  /** What is counted of the file with a fingerprint, if it is live. */
  counted: (fingerprint: string) => CountedFile | undefined;
  report: Report;
}

/**
 * What is stored by path, without a look at all of it: each change of a file adds to the numbers of the patterns that
 * match. They are remembered, so that a start has them at once; a walk corrects them after that, and once a day.
 */
export class Quotas {
  readonly #options: QuotasOptions;
  readonly #quotas: readonly Quota[];
  readonly #tree = new PatternTree<Quota>();
  /** Fingerprints of the files that the walk has seen that is under way. */
  #seen: Set<string> | undefined;
  /** Fingerprints of the files that get their names now: a walk may find them before, or long after, that is known. */
  readonly #naming = new Set<string>();
  #walking: Promise<void> | undefined;
  /** When the last walk had begun that is over, in milliseconds since 1970. */
  #walkedMs = Number.NEGATIVE_INFINITY;
  /** Whether the next one is to come soon, and when it may, in terms of `performance.now()`. */
  #isToCountAgain = false;
  #mayWalkAtMs = 0;
  #timer: NodeJS.Timeout | undefined;
  #saving: NodeJS.Timeout | undefined;
  #isClosed = false;

  /** @throws {TypeError} when a pattern is none */
  constructor(options: QuotasOptions) {
    this.#options = options;
    this.#quotas = options.rules.map((rule) => new Quota(rule));
    for (const quota of this.#quotas) this.#tree.add(quota.pattern, quota);
  }

  /** Changes how much may be stored, of patterns that are there. */
  change(rules: readonly QuotaRule[]): void {
    for (const { pattern, bytes } of rules) {
      const quota = this.#quotas.find((one) => one.pattern === pattern);
      if (quota !== undefined) quota.limitBytes = bytes;
    }
  }

  get all(): readonly Quota[] {
    return this.#quotas;
  }

  /** Those that count a file. @param location its path below the root */
  matching(location: string): readonly Quota[] {
    if (this.#quotas.length === 0) return this.#quotas;
    const found = new Set<Quota>();
    this.#tree.some({ segments: location.split('/') }, false, (quota) => {
      found.add(quota);
      return false;
    });
    return [...found];
  }

  /** Those of which it is not known yet how much is stored. */
  get uncounted(): readonly Quota[] {
    return this.#quotas.filter(({ isCounted }) => !isCounted);
  }

  /**
   * Counts a change of what is stored of a file.
   *
   * @param change in bytes
   * @param size what it comes to
   */
  count(fingerprint: string, quotas: readonly Quota[], change: number, size: number): void {
    if (quotas.length === 0) return;
    // The names of what is made meanwhile a walk may not be given.
    const found = this.#see(fingerprint) ? size : change;
    for (const quota of quotas) {
      quota.usedBytes += change;
      quota.foundBytes += found;
    }
    this.#saveLater();
  }

  /** Leaves a file to {@link countMade} that is to get its name: no walk counts it, until {@link unnamed} at the latest. */
  naming(fingerprint: string): void {
    if (this.#quotas.length > 0) this.#naming.add(fingerprint);
  }

  /** Notes that it has got none. Idempotent. */
  unnamed(fingerprint: string): void {
    this.#naming.delete(fingerprint);
  }

  /** Counts a file that has got its name, with what is in it. */
  countMade(fingerprint: string, quotas: readonly Quota[], size: number): void {
    this.#naming.delete(fingerprint);
    if (quotas.length === 0) return;
    const found = this.#see(fingerprint) ? size : 0;
    for (const quota of quotas) {
      quota.usedBytes += size;
      quota.foundBytes += found;
    }
    this.#saveLater();
  }

  /**
   * Whether what a file had at a time was counted by a walk.
   *
   * @param atMs in milliseconds since 1970
   */
  hasWalkedSince(atMs: number): boolean {
    return atMs < this.#walkedMs - CLOCK_MS;
  }

  /** Counts bytes of another program that may not have been counted yet, and has that corrected soon, if they were. */
  countForeign(quotas: readonly Quota[], bytes: number): void {
    // Most of what is there at a start was counted by the server before this one, and appends that go on need room.
    const hasWalked = this.#walkedMs > 0;
    if (quotas.length === 0 || bytes === 0 || !hasWalked) return;
    for (const quota of quotas) quota.usedBytes += bytes;
    this.countAgain();
  }

  /** Has all counted again soon: what is counted may be too much. */
  countAgain(): void {
    if (this.#quotas.length === 0) return;
    this.#isToCountAgain = true;
    if (this.#walking === undefined) this.#planWalk();
  }

  /**
   * Takes up the numbers that are remembered, and has them corrected. What is not remembered is counted first: before this
   * resolves if that is soon, or else while nothing new begins there.
   *
   * @throws what the disk does
   */
  async start(): Promise<void> {
    if (this.#quotas.length === 0) return;
    await this.#options.records.readable();
    for (const quota of this.#quotas) {
      const bytes = this.#options.records.quotaBytes(quota.pattern);
      quota.usedBytes = bytes ?? 0;
      quota.isCounted = bytes !== undefined;
    }
    const areMany = new Promise<void>((resolve) => void this.#beginWalk(resolve).then(resolve));
    if (this.uncounted.length > 0) await areMany;
    const patterns = this.uncounted.map(({ pattern }) => pattern);
    if (patterns.length === 0) return;
    this.#options.report('quotas are new: nothing new begins at their paths until these are counted', {
      patterns,
    });
  }

  /** Resolves when the walk is over that is under way. */
  async corrected(): Promise<void> {
    await this.#walking;
  }

  /** Remembers the numbers as they are. Idempotent. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    await this.#walking;
    await this.#save();
  }

  /** @returns whether a walk is under way, and sees it for the first time */
  #see(fingerprint: string): boolean {
    if (this.#seen === undefined || this.#seen.has(fingerprint) || this.#naming.has(fingerprint))
      return false;
    this.#seen.add(fingerprint);
    return true;
  }

  #saveLater(): void {
    this.#saving ??= setTimeout(() => void this.#save(), SAVE_MS).unref();
  }

  /** Never rejects: what is not remembered is counted by the walk after the next start. */
  async #save(): Promise<void> {
    clearTimeout(this.#saving);
    this.#saving = undefined;
    if (this.#quotas.length === 0) return;
    const saving = this.#options.records.write((draft) => {
      for (const { pattern, usedBytes, isCounted } of this.#quotas)
        if (isCounted) draft.setQuotaBytes(pattern, usedBytes);
    }, NOT_DURABLE);
    await saving.catch(() => undefined);
  }

  /** @param areMany called when many names were seen, if there are as many */
  #beginWalk(areMany: () => void = () => {}): Promise<void> {
    const beganMs = performance.now();
    this.#isToCountAgain = false;
    this.#walking = this.#walk(areMany).finally(() => {
      this.#walking = undefined;
      const now = performance.now();
      this.#mayWalkAtMs = now + WALK_REST * (now - beganMs);
      this.#planWalk();
    });
    return this.#walking;
  }

  #planWalk(): void {
    clearTimeout(this.#timer);
    if (this.#isClosed) return;
    const delayMs = this.#isToCountAgain ? this.#mayWalkAtMs - performance.now() : WALK_INTERVAL_MS;
    this.#timer = setTimeout(() => void this.#beginWalk(), delayMs).unref();
  }

  /** Counts all that is there, while that changes. Never rejects: what cannot be read is not counted. */
  async #walk(areMany: () => void): Promise<void> {
    const { root, counted } = this.#options;
    let names = 0;
    const beganMs = Date.now();
    for (const quota of this.#quotas) quota.foundBytes = 0;
    this.#seen = new Set();
    for await (const name of root.walk(() => {})) {
      if (this.#isClosed) break;
      if (++names === FIRST_NAMES) areMany();
      const stat = statOrNothing(root, name);
      if (stat === undefined || !this.#see(stat.fingerprint)) continue;
      const live = counted(stat.fingerprint);
      // What has a name that is no text counts for patterns that match everything.
      const quotas = live?.quotas ?? this.matching(name.location ?? '');
      for (const quota of quotas) quota.foundBytes += live?.countedBytes ?? stat.size;
    }
    this.#seen = undefined;
    if (this.#isClosed) return;
    this.#walkedMs = beganMs;
    for (const quota of this.#quotas) {
      quota.usedBytes = quota.foundBytes;
      quota.isCounted = true;
    }
    this.#saveLater();
  }
}

function statOrNothing(root: Root, name: Parameters<Root['statFound']>[0]): ReturnType<Root['statFound']> {
  try {
    return root.statFound(name);
  } catch {
    return undefined;
  }
}
