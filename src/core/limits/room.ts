import type { WriteRoom } from '../../storage/new-file.ts';
import { ResourceTooLargeError } from '../../wire/errors.ts';
import type { FreeSpaceWatch } from './free-space.ts';
import { type CountedFile, type Quota, type Quotas, shortageOf } from './quotas.ts';

/** What bounds all of them. */
export interface RoomLimits {
  readonly space: FreeSpaceWatch;
  readonly quotas: Quotas;
  /** How long a resource may be, in bytes. */
  readonly maxBytes: number;
}

/**
 * The room that a file has: how long it may be, and what its quotas leave. It is taken before bytes are written, and
 * given back when they are counted, or were refused.
 */
abstract class Room {
  protected readonly limits: RoomLimits;
  protected taken = 0;

  constructor(limits: RoomLimits) {
    this.limits = limits;
  }

  abstract readonly quotas: readonly Quota[];
  /** How many bytes of it are there. */
  abstract readonly countedBytes: number;

  /**
   * Takes room for all of so many bytes, or for none.
   *
   * @throws {ResourceTooLargeError} {@link QuotaExceededError} when there is not as much
   */
  take(bytes: number): void {
    const { maxBytes } = this.limits;
    if (this.countedBytes + this.taken + bytes > maxBytes) {
      throw new ResourceTooLargeError(`a resource may have ${maxBytes} bytes at most here`);
    }
    for (const quota of this.quotas) quota.assertFits(bytes);
    this.#hold(bytes);
  }

  giveBack(bytes: number): void {
    this.#hold(-bytes);
  }

  #hold(bytes: number): void {
    this.taken += bytes;
    for (const quota of this.quotas) quota.takenBytes += bytes;
  }
}

/** A file that is there, as it is found. */
export interface FoundFile {
  size: number;
  /** How many of its bytes are this server's own, which were counted when they were written. */
  knownBytes: number;
  /** When it was changed last, by anybody, in milliseconds since 1970. */
  changedMs: number;
}

/** That of a file that is there. */
export class ResourceRoom extends Room implements CountedFile {
  readonly quotas: readonly Quota[];
  readonly #fingerprint: string;
  readonly #changedMs: number;
  #countedBytes: number;
  /** How many of these may not have been counted: another program's, unless a walk has seen them. They are the last ones. */
  #foreignBytes: number;

  constructor(limits: RoomLimits, fingerprint: string, quotas: readonly Quota[], found: FoundFile) {
    super(limits);
    const { size, knownBytes, changedMs } = found;
    this.#fingerprint = fingerprint;
    this.quotas = quotas;
    this.#countedBytes = size;
    this.#foreignBytes = Math.max(0, size - knownBytes);
    this.#changedMs = changedMs;
  }

  get countedBytes(): number {
    return this.#countedBytes;
  }

  /** As {@link Room.take}; from then on nobody knows any more which bytes are whose. */
  override take(bytes: number): void {
    const { quotas } = this.limits;
    quotas.countForeign(this.quotas, this.#uncountedOf(this.#foreignBytes));
    this.#foreignBytes = 0;
    super.take(bytes);
  }

  /**
   * As {@link take}, for what begins anew.
   *
   * @throws {StorageFullError} when too little is free of the disk
   * @throws {StorageBusyError} when it is not known yet how much of its quotas is left
   */
  takeForNew(bytes: number): void {
    if (bytes === 0) return;
    this.limits.space.assertForNew();
    const shortage = shortageOf(this.quotas);
    if (shortage !== undefined) throw shortage;
    this.take(bytes);
  }

  /** Counts how many bytes are there by now. */
  count(size: number): void {
    const grown = size - this.#countedBytes;
    if (grown === 0) return;
    this.#countedBytes = size;
    const { quotas, space } = this.limits;
    const foreign = Math.min(this.#foreignBytes, Math.max(0, -grown));
    const uncounted = this.#uncountedOf(foreign);
    this.#foreignBytes -= foreign;
    quotas.count(this.#fingerprint, this.quotas, grown + uncounted, size);
    // Perhaps it was counted after all.
    if (uncounted > 0) quotas.countAgain();
    if (grown > 0) space.written(grown);
  }

  /** How many of so many may not have been counted by the quotas that count this file. */
  #uncountedOf(foreignBytes: number): number {
    const isCounted = this.quotas.length === 0 || this.limits.quotas.hasWalkedSince(this.#changedMs);
    return isCounted ? 0 : foreignBytes;
  }
}

/** That of a file that is being made. */
export class NewFileRoom extends Room implements WriteRoom {
  readonly quotas: readonly Quota[];
  readonly countedBytes = 0;
  /** Fingerprint of the file that is to get its name. */
  #naming: string | undefined;

  constructor(limits: RoomLimits, quotas: readonly Quota[]) {
    super(limits);
    this.quotas = quotas;
  }

  /**
   * As {@link Room.take}.
   *
   * @throws {StorageFullError} when the disk is nearly full
   */
  override take(bytes: number): void {
    this.limits.space.assertForMore();
    super.take(bytes);
    this.limits.space.written(bytes);
  }

  /** Notes that it is about to get its name: until {@link made}, or {@link release}. */
  naming(fingerprint: string): void {
    this.#naming = fingerprint;
    this.limits.quotas.naming(fingerprint);
  }

  /** Notes that it has got its name. @param location its path below the root */
  made(fingerprint: string, location: string, bytes: number): void {
    const { quotas } = this.limits;
    quotas.countMade(fingerprint, quotas.matching(location), bytes);
    this.release();
  }

  /** Gives back what it still has. */
  release(): void {
    this.giveBack(this.taken);
    if (this.#naming !== undefined) this.limits.quotas.unnamed(this.#naming);
  }
}
