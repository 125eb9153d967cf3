import { AppendBusyError, BodyTimeoutError, type HttpfstreamError } from '../../wire/errors.ts';
import { Bag, type Bagged } from '../bag.ts';

/** Window over which the rate of a body is measured, in milliseconds. */
const WINDOW_MS = 1000;

/** Options of {@link BodyBudget}. */
export interface BudgetOptions {
  /** How many bytes of bodies may be in memory together. Default 256 MiB. */
  maxBytes?: number;
  /** How many of these are reserved for the beginnings of bodies, and so for small bodies. Default 64 MiB. */
  reservedBytes?: number;
  /** Length of such a beginning. Default 64 KiB. */
  smallBytes?: number;
  /** A body of which less has come in the last second or two is dropped when others need room. Default 256 KiB. */
  quickBytes?: number;
  /** A body may take this time, in milliseconds, … Default 30,000. */
  graceMs?: number;
  /** … and one second more for each this many bytes. Default 16 KiB. */
  minBytesPerSecond?: number;
  /** The clock, in milliseconds. Default `performance.now`. */
  now?: () => number;
}

/**
 * The memory for all bodies together, until they are appended. A body takes as
 * much as has come of it. When there is no room, slow ones are dropped, the largest
 * first: so nobody can keep others out without sending at a good rate all the
 * time. Small bodies get in even then.
 */
export class BodyBudget {
  readonly limits: Required<BudgetOptions>;
  #left: number;
  /** Those that are still coming. */
  readonly #shares = new Bag<BodyShare>();

  constructor(options: BudgetOptions = {}) {
    this.limits = {
      maxBytes: 256 * 1024 * 1024,
      reservedBytes: 64 * 1024 * 1024,
      smallBytes: 64 * 1024,
      quickBytes: 256 * 1024,
      graceMs: 30_000,
      minBytesPerSecond: 16 * 1024,
      now: () => performance.now(),
      ...options,
    };
    this.#left = this.limits.maxBytes;
  }

  /** Makes an empty share for a body. */
  share(): BodyShare {
    return new BodyShare(this);
  }

  /** Called by a share when its body begins. */
  opened(share: BodyShare): void {
    this.#shares.add(share);
  }

  /** Called by a share when its body is whole, or no longer wanted. */
  closed(share: BodyShare): void {
    this.#shares.delete(share);
  }

  /** Called by a share that needs more. False when there is no room, and none can be made. */
  take(share: BodyShare, bytes: number): boolean {
    const { reservedBytes, smallBytes } = this.limits;
    const floor = share.bytes + bytes <= smallBytes ? 0 : reservedBytes;
    while (this.#left - bytes < floor) {
      const slow = this.#largestSlow(share);
      if (slow === undefined) return false;
      slow.lose(new AppendBusyError('the body came slowly, and others need its room'));
    }
    this.#left -= bytes;
    return true;
  }

  /** Called by a share that is released. */
  giveBack(bytes: number): void {
    this.#left += bytes;
  }

  #largestSlow(asking: BodyShare): BodyShare | undefined {
    let largest: BodyShare | undefined;
    for (const share of this.#shares) {
      if (share === asking || share.bytes <= (largest?.bytes ?? 0)) continue;
      if (share.isSlow) largest = share;
    }
    return largest;
  }
}

/** One body's part of the budget. */
export class BodyShare implements Bagged {
  /** Among those that are still coming. */
  bagIndex: number | undefined;
  readonly #budget: BodyBudget;
  #bytes = 0;
  #openedAtMs = 0;
  /** What came in this window of time, and in the one before. */
  #windowAtMs = 0;
  #windowBytes = 0;
  #lastWindowBytes = 0;
  #onLoss: ((error: HttpfstreamError) => void) | undefined;

  /** Made by {@link BodyBudget.share}. */
  constructor(budget: BodyBudget) {
    this.#budget = budget;
  }

  /** Its size in bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Whether its body comes too slowly to be kept while others need the room. */
  get isSlow(): boolean {
    const { now, quickBytes } = this.#budget.limits;
    if (now() - this.#openedAtMs < WINDOW_MS) return false;
    this.#turnWindow();
    return this.#windowBytes + this.#lastWindowBytes < quickBytes;
  }

  /**
   * To be called when the body begins.
   *
   * @param onLoss called when there is no more room, or the body comes too slowly: it must be dropped, and the share
   *   released
   */
  open(onLoss: (error: HttpfstreamError) => void): void {
    this.#onLoss = onLoss;
    this.#openedAtMs = this.#budget.limits.now();
    this.#windowAtMs = this.#openedAtMs;
    this.#budget.opened(this);
  }

  /** Takes room for bytes that have come. False when it is lost instead. */
  take(bytes: number): boolean {
    const { now, graceMs, minBytesPerSecond } = this.#budget.limits;
    const allowedMs = graceMs + (this.#bytes / minBytesPerSecond) * 1000;
    if (now() - this.#openedAtMs > allowedMs) {
      this.lose(new BodyTimeoutError(`the body came with less than ${minBytesPerSecond} bytes a second`));
      return false;
    }
    if (!this.#budget.take(this, bytes)) {
      this.lose(new AppendBusyError('too many bodies are under way'));
      return false;
    }
    this.#turnWindow();
    this.#windowBytes += bytes;
    this.#bytes += bytes;
    return true;
  }

  /** Takes the room away. */
  lose(error: HttpfstreamError): void {
    this.release();
    this.#onLoss?.(error);
  }

  /** Keeps the room until it is released: the body is whole. */
  complete(): void {
    this.#budget.closed(this);
  }

  /** Gives everything back. Idempotent. */
  release(): void {
    this.#budget.closed(this);
    this.#budget.giveBack(this.#bytes);
    this.#bytes = 0;
  }

  #turnWindow(): void {
    const elapsedMs = this.#budget.limits.now() - this.#windowAtMs;
    if (elapsedMs < WINDOW_MS) return;
    this.#lastWindowBytes = elapsedMs < 2 * WINDOW_MS ? this.#windowBytes : 0;
    this.#windowBytes = 0;
    this.#windowAtMs += elapsedMs;
  }
}
