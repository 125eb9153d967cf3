import { Quarantine } from '../storage/journal/quarantine.ts';
import { RedoLog } from '../storage/journal/redo-log.ts';
import { ExpiryIndex } from '../storage/records/expiry-index.ts';
import { SidecarStore } from '../storage/records/sidecar-store.ts';
import { Tombstones } from '../storage/records/tombstones.ts';
import type { Report } from '../storage/report.ts';
import type { Root } from '../storage/root.ts';
import { WriteTurns } from '../storage/write-turns.ts';
import { cleanUp } from './recovery/clean-up.ts';
import { Recovery } from './recovery/recovery.ts';
import type { StreamRecord } from './single-append/stream-record.ts';
import { type LifecycleOptions, StreamLifecycle } from './streams/stream-lifecycle.ts';
import { StreamRegistry, type StreamRegistryOptions } from './streams/stream-registry.ts';
import { StreamStore } from './streams/stream-store.ts';
import { Syncer } from './syncer.ts';

/** Longest time for which written bytes wait to be made durable while a session goes on. */
const SYNC_INTERVAL_MS = 1000;

/** What the streams of a root are composed with. */
export type StoredStreamsOptions = Pick<StreamRegistryOptions, 'isDurable' | 'report'> &
  Pick<LifecycleOptions, 'made' | 'deleted'>;

/** The streams of a root, and all that is remembered of them beside their bytes: for a server, and for a check. */
export class StoredStreams {
  readonly #root: Root;
  readonly #report: Report;
  readonly log: RedoLog<StreamRecord>;
  readonly sidecars: SidecarStore;
  readonly store: StreamStore;
  readonly quarantine: Quarantine<StreamRecord>;
  readonly turns = new WriteTurns();
  readonly syncer: Syncer;
  readonly expiring: ExpiryIndex;
  readonly tombstones: Tombstones;
  /** Those that are held. */
  readonly held: StreamRegistry;
  /** How they come and go. */
  readonly lifecycle: StreamLifecycle;

  /** Call {@link recover} before anything else. */
  constructor(root: Root, options: StoredStreamsOptions) {
    const { isDurable, report } = options;
    this.#root = root;
    this.#report = report;
    this.log = new RedoLog(root.own('redo'), this.turns, isDurable);
    this.sidecars = new SidecarStore(root.own('meta'), root.own('aside'));
    this.store = new StreamStore(this.sidecars, isDurable);
    this.quarantine = new Quarantine(root.own('quarantine'));
    this.syncer = new Syncer(SYNC_INTERVAL_MS);
    this.expiring = new ExpiryIndex(root.own('expiring'));
    this.tombstones = new Tombstones(root.own('gone'));
    const { store, quarantine, turns, syncer, expiring, tombstones } = this;
    this.held = new StreamRegistry({ ...options, root, store, log: this.log, quarantine, turns, syncer });
    this.lifecycle = new StreamLifecycle({
      ...options,
      root,
      store,
      expiring,
      streams: this.held,
      tombstones,
      syncer,
    });
  }

  /**
   * Removes what a server that was killed was making, and makes its log good.
   *
   * @param removed called with the name of each thing that was removed
   * @param progress told every second how far it is
   * @returns how many streams the log was about
   */
  async recover(removed: (name: string) => void, progress: Report): Promise<number> {
    const { store, quarantine, syncer } = this;
    await cleanUp(this.#root, store, removed);
    const report = this.#report;
    const root = this.#root;
    return new Recovery({ root, store, log: this.log, quarantine, syncer, report, progress }).run();
  }

  /** Makes all that is in the log safe beside the files, and lets everything go. After a recovery that failed the log stays. */
  async close(): Promise<void> {
    await this.held.close();
    this.syncer.close();
  }
}
