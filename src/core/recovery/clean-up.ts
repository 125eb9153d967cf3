import { removeLeftOver, unfinishedFiles } from '../../storage/records/left-overs.ts';
import type { Records } from '../../storage/records/records.ts';
import type { Report } from '../../storage/report.ts';
import type { Root } from '../../storage/root.ts';
import { cancelRemoval, endRemoval, forgetFile } from '../streams/fork-links.ts';
import { FileFinder } from './file-finder.ts';

/** How many files are removed at most: what is more is left for the next time, so that a start takes no longer. */
const MAX_REMOVED = 10_000;

/** What {@link cleanUp} works with. */
export interface CleanUpOptions {
  root: Root;
  records: Records;
  /** Whether what is done must survive a loss of power. */
  isDurable: boolean;
  /** Called with the name of each file that is removed. */
  removed: (name: string) => void;
  /** Told what could not be finished. */
  report: Report;
}

/** Removes what a server that was killed was making, and finishes what it was deleting. No server may run. */
export async function cleanUp(options: CleanUpOptions): Promise<void> {
  await removeUnfinished(options);
  await finishRemovals(options);
}

async function removeUnfinished({ root, records, isDurable, removed }: CleanUpOptions): Promise<void> {
  let count = 0;
  for await (const { name, fingerprint, isPublished } of unfinishedFiles(root.own('incoming'))) {
    if (count++ === MAX_REMOVED) return;
    // First, so that it is found again if this does not come to its end.
    if (!isPublished) await records.write((draft) => forgetFile(draft, fingerprint), { durable: isDurable });
    await removeLeftOver(name);
    removed(name);
  }
}

/** A file that is gone is deleted, with all that belongs to that; one that is still there, or somewhere else, stays. */
async function finishRemovals({ root, records, isDurable, report }: CleanUpOptions): Promise<void> {
  const finder = new FileFinder(root);
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
        reason: String(error),
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
