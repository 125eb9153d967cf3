import { Quarantine } from '../storage/journal/quarantine.ts';
import { RedoLog } from '../storage/journal/redo-log.ts';
import { import03 } from '../storage/records/import-0.3.ts';
import { Records } from '../storage/records/records.ts';
import type { Report } from '../storage/report.ts';
import { Reserve } from '../storage/reserve.ts';
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

/** How streams are recovered, see {@link StoredStreams.recover}. */
export interface RecoverOptions {
  removed: (name: string) => void;
  progress: Report;
  verify: boolean;
}

/** The streams of a root, and all that is remembered of them beside their bytes: for a server, and for a check. */
export class StoredStreams {
  readonly #root: Root;
  readonly #report: Report;
  readonly log: RedoLog<StreamRecord>;
  readonly records: Records;
  readonly store: StreamStore;
  readonly quarantine: Quarantine<StreamRecord>;
  readonly turns = new WriteTurns();
  readonly syncer: Syncer;
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
    this.records = new Records({
      directory: root.own('records'),
      aside: root.own('aside'),
      reserve: new Reserve(root.own('reserve')),
      report,
    });
    this.store = new StreamStore(this.records, isDurable);
    this.quarantine = new Quarantine(root.own('quarantine'));
    this.syncer = new Syncer(SYNC_INTERVAL_MS);
    const { records, store, quarantine, turns, syncer } = this;
    this.held = new StreamRegistry({ ...options, root, store, log: this.log, quarantine, turns, syncer });
    this.lifecycle = new StreamLifecycle({
      ...options,
      root,
      records,
      store,
      streams: this.held,
      syncer,
    });
  }

  /**
   * Opens the records, removes what a server that was killed was making, and makes its log good.
   *
   * @param options.removed called with the name of each thing that was removed
   * @param options.progress told every second how far it is
   * @param options.verify whether all records are read to see whether they can be
   * @returns how many streams the log was about
   */
  async recover({ removed, progress, verify }: RecoverOptions): Promise<number> {
    const { records, store, quarantine, syncer } = this;
    const report = this.#report;
    const root = this.#root;
    const repair = await records.open({ verify });
    if (repair !== undefined) {
      report('the store of records was damaged: what could be read of it goes on', {
        path: root.own('records'),
        ...repair,
      });
    }
    await import03({ root, records, report, progress });
    await cleanUp({ root, records, isDurable: store.isDurable, removed });
    return new Recovery({ root, store, log: this.log, quarantine, syncer, report, progress }).run();
  }

  /** Makes all that is in the log safe beside the files, and lets everything go. After a recovery that failed the log stays. */
  async close(): Promise<void> {
    await this.held.close();
    await this.records.close();
    this.syncer.close();
  }
}
