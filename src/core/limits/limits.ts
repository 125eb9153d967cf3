import path from 'node:path';
import type { Records } from '../../storage/records/records.ts';
import type { Report } from '../../storage/report.ts';
import type { Root } from '../../storage/root/root.ts';
import type { HttpfstreamError, StorageFullError } from '../../wire/errors.ts';
import { FreeSpaceWatch, type MinFree } from './free-space.ts';
import { type CountedFile, type QuotaRule, Quotas, shortageOf } from './quotas.ts';
import { type FoundFile, NewFileRoom, ResourceRoom, type RoomLimits } from './room.ts';

/** How much there may be of everything. */
export interface CoreLimits {
  /** What is to stay free of the disk. */
  minFree: MinFree;
  quotas: readonly QuotaRule[];
  /** How long a resource may be, in bytes. */
  maxResourceBytes: number;
  /** How many resources may be live. */
  maxLive: number;
  /** How many may follow a resource. */
  maxFollowers: number;
}

/** Nothing is limited. */
export const NO_LIMITS: CoreLimits = {
  minFree: { bytes: 0, files: 0 },
  quotas: [],
  maxResourceBytes: Number.POSITIVE_INFINITY,
  maxLive: Number.POSITIVE_INFINITY,
  maxFollowers: Number.POSITIVE_INFINITY,
};

/** What limits are kept with. */
export interface LimitsOptions {
  root: Root;
  records: Records;
  limits: CoreLimits;
  /** What is counted of the file with a fingerprint, if it is live. */
  counted: (fingerprint: string) => CountedFile | undefined;
  /** Called when the appends that live have to end. */
  exhausted: (error: StorageFullError) => void;
  report: Report;
}

/** What bounds what is stored, and how much of it is live. */
export class Limits implements RoomLimits {
  readonly space: FreeSpaceWatch;
  readonly quotas: Quotas;
  #limits: CoreLimits;

  constructor({ root, records, limits, counted, exhausted, report }: LimitsOptions) {
    const { minFree, quotas: rules } = limits;
    this.#limits = limits;
    this.space = new FreeSpaceWatch({ directory: path.dirname(root.own('records')), minFree, exhausted });
    this.quotas = new Quotas({ rules, root, records, counted, report });
  }

  /** Has others count from now on. Quotas of other patterns count from the next start. */
  change(limits: CoreLimits): void {
    this.#limits = limits;
    this.space.minFree = limits.minFree;
    this.quotas.change(limits.quotas);
  }

  get maxBytes(): number {
    return this.#limits.maxResourceBytes;
  }

  get maxLive(): number {
    return this.#limits.maxLive;
  }

  get maxFollowers(): number {
    return this.#limits.maxFollowers;
  }

  /** What keeps anything new from beginning at a path. */
  shortage({ key }: { key: string }): HttpfstreamError | undefined {
    return this.space.shortage() ?? shortageOf(this.quotas.matching(key));
  }

  /**
   * To be called before anything new begins at a path.
   *
   * @throws {StorageFullError} when too little is free of the disk
   * @throws {StorageBusyError} when it is not known yet how much of its quotas is left
   */
  assertForNew(path: { key: string }): void {
    const shortage = this.shortage(path);
    if (shortage !== undefined) throw shortage;
  }

  /** Of a file that is there. */
  roomOf(fingerprint: string, location: string, found: FoundFile): ResourceRoom {
    return new ResourceRoom(this, fingerprint, this.quotas.matching(location), found);
  }

  /**
   * Of a file that is about to be made.
   *
   * @throws what {@link assertForNew} throws
   */
  roomFor(path: { key: string }): NewFileRoom {
    this.assertForNew(path);
    return new NewFileRoom(this, this.quotas.matching(path.key));
  }

  close(): Promise<void> {
    this.space.close();
    return this.quotas.close();
  }
}
