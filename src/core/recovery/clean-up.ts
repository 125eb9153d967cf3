import { removeLeftOver, unfinishedFiles } from '../../storage/records/left-overs.ts';
import type { Records } from '../../storage/records/records.ts';
import type { Report } from '../../storage/report.ts';
import type { Root } from '../../storage/root/root.ts';
import { reasonOf } from '../../storage/storage-failure.ts';
import type { Finder } from '../file-finder.ts';
import { cancelRemoval, endRemoval, forgetFile } from '../streams/fork-links.ts';

/** How many files are removed at most: what is more is left for the next time, so that a start takes no longer. */
const MAX_REMOVED = 10_000;

/** What is cleaned up. */
export interface CleanUpOptions {
  root: Root;
  records: Records;
  /** Whether what is done must survive a loss of power. */
  isDurable: boolean;
}

/** What {@link removeUnfinished} works with. */
export interface UnfinishedOptions extends CleanUpOptions {
  /** Called with the name of each file that is removed. */
  removed: (name: string) => void;
}

/** What {@link finishRemovals} works with. */
export interface RemovalOptions extends CleanUpOptions {
  finder: Finder;
  /** Notified of what could not be finished. */
  report: Report;
}

/** Removes what a server that was killed was making. No server may run. */
export async function removeUnfinished(options: UnfinishedOptions): Promise<void> {
  const { root, records, isDurable, removed } = options;
  let count = 0;
  for await (const { name, fingerprint, isPublished } of unfinishedFiles(root.own('incoming'))) {
    if (count++ === MAX_REMOVED) return;
    // First, so that it is found again if this does not come to its end.
    if (!isPublished) await records.write((draft) => forgetFile(draft, fingerprint), { durable: isDurable });
    else if (isDurable) await syncNamesOf(fingerprint, options);
    await removeLeftOver(name);
    removed(name);
  }
}

/** The server may have been killed before the name that a file had got was safe: who finds it there relies on it. */
async function syncNamesOf(fingerprint: string, { root, records }: CleanUpOptions): Promise<void> {
  const path = records.get(fingerprint)?.path;
  if (path !== undefined) await root.syncNames(path, { isRemoved: true });
}

/**
 * Finishes what a server that was killed was deleting: a file that is gone is deleted, with all that belongs to that;
 * one that is still there, or somewhere else, stays. To be called when the journal was replayed: until then it has to
 * be known that nobody misses them. No server may run.
 */
export async function finishRemovals(options: RemovalOptions): Promise<void> {
  const { root, records, isDurable, finder, report } = options;
  for await (const link of records.removals()) {
    const { fingerprint, path } = link;
    let isThere: boolean;
    try {
      const remembered = records.get(fingerprint)?.path;
      const locations = [path, ...(remembered ? [remembered] : [])];
      const location =
        (await finder.find(fingerprint, locations)) ?? (await finder.findAnywhere(fingerprint));
      isThere = location !== undefined;
      // Else a loss of power might bring the file back, without what is remembered of it.
      if (!isThere && isDurable) await root.syncNames(path, { isRemoved: true });
    } catch (error) {
      report('the deletion of a stream cannot be brought to its end: the next start tries again', {
        path,
        reason: reasonOf(error),
      });
      continue;
    }
    await records.write(
      (draft) => {
        if (isThere) cancelRemoval(draft, link);
        // A request for its name looks which of its forks live.
        else endRemoval(draft, link, new Set());
      },
      { durable: isDurable },
    );
  }
}
