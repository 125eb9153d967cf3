import { ExpiryIndex } from '../../storage/expiry-index.ts';
import { Quarantine } from '../../storage/quarantine.ts';
import { RedoLog } from '../../storage/redo-log.ts';
import type { Root } from '../../storage/root.ts';
import { SidecarStore } from '../../storage/sidecar-store.ts';
import { SyncThreads } from '../../storage/sync-threads.ts';
import { Tombstones } from '../../storage/tombstones.ts';
import { Recovery } from '../recovery/recovery.ts';
import type { Report } from '../report.ts';
import { cleanUp } from '../streams/clean-up.ts';
import { StreamLifecycle } from '../streams/stream-lifecycle.ts';
import type { StreamRecord } from '../streams/stream-record.ts';
import { StreamRegistry } from '../streams/stream-registry.ts';
import { StreamStore } from '../streams/stream-store.ts';
import { Syncer } from '../syncer.ts';
import { FileCheck } from './file-check.ts';
import { Findings } from './findings.ts';
import { ForkCheck } from './fork-check.ts';
import { OrphanCheck } from './orphan-check.ts';

/** How many files are looked at at a time. */
const PARALLEL = 16;

const SYNC_INTERVAL_MS = 1000;

/** How many syncs go to the disk together. */
const SYNC_THREADS = 8;

/**
 * Verifies a root that no server uses and puts right what can be.
 *
 * @param tell is given a line for each finding, and one at the end
 * @returns whether all is well now, and nothing was lost
 */
export async function checkRoot(root: Root, tell: (line: string) => void): Promise<boolean> {
  const findings = new Findings(tell);
  const sidecars = new SidecarStore(root.own('meta'), root.own('aside'));
  // What is put right is to survive a loss of power, whatever the server promises.
  const isDurable = true;
  const store = new StreamStore(sidecars, isDurable);
  const log = new RedoLog<StreamRecord>(root.own('redo'), isDurable);
  const quarantine = new Quarantine<StreamRecord>(root.own('quarantine'));
  const syncer = new Syncer(SYNC_INTERVAL_MS, new SyncThreads(SYNC_THREADS));
  const tombstones = new Tombstones(root.own('gone'));
  const expiring = new ExpiryIndex(root.own('expiring'));
  const report: Report = (message, { path, ...detail }) =>
    findings.bad(String(path), `${message} (${JSON.stringify(detail)})`);
  const registry = new StreamRegistry({
    root,
    store,
    log,
    quarantine,
    syncer,
    isDurable,
    sessionSize: () => undefined,
    report,
  });
  const nothing = () => {};
  const streams = new StreamLifecycle({
    root,
    store,
    expiring,
    streams: registry,
    tombstones,
    syncer,
    isDurable,
    made: nothing,
    deleted: nothing,
  });
  try {
    await cleanUp(root, store, (name) => findings.repaired(name, 'was not written to its end; removed'));
    const progress: Report = (message, detail) => tell(`${message} (${JSON.stringify(detail)})`);
    const count = await new Recovery({ root, store, log, quarantine, syncer, report, progress }).run();
    if (count > 0)
      findings.repaired('redo log', `the server was killed; ${count} streams brought up to date`);
    const files = new FileCheck({ root, sidecars, store, quarantine, expiring, streams, findings });
    let isWhole = true;
    const names = root.walk((directory) => {
      isWhole = false;
      findings.bad(directory, 'cannot be read; what is remembered of its files is left as it is');
    });
    const checkAll = async () => {
      for await (const name of names) await files.check(name);
    };
    await Promise.all(Array.from({ length: PARALLEL }, checkAll));
    await files.deleteExpired();
    if (isWhole) {
      const { known, sources } = files;
      await new OrphanCheck({ root, sidecars, expiring, findings, known }).check();
      const forks = new ForkCheck({ root, sidecars, tombstones, findings, known });
      await forks.checkTombstones();
      for (const source of sources) await forks.checkSource(source);
    }
    tell(summary(files, findings));
    return findings.badCount === 0;
  } finally {
    // After a failure there is nothing to be made safe, and what was found in the log stays.
    await registry.close();
    await log.close();
    await syncer.close();
  }
}

function summary({ count, known }: FileCheck, { repairedCount, badCount }: Findings): string {
  const looked = `${count} files looked at, of ${known.size} of them something is remembered`;
  if (repairedCount + badCount === 0) return `${looked}: all is well`;
  return `${looked}: ${repairedCount} findings put right, ${badCount} that are not, or not without a loss`;
}
