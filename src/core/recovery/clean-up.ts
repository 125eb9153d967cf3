import { removeLeftOver, unfinishedDocuments, unfinishedFiles } from '../../storage/records/left-overs.ts';
import type { Root } from '../../storage/root.ts';
import type { StreamStore } from '../streams/stream-store.ts';

/** How many files are removed at most: what is more is left for the next time, so that a start takes no longer. */
const MAX_REMOVED = 10_000;

/**
 * Removes what a server that was killed was making. No server may run.
 *
 * @param told called with the name of each
 */
export async function cleanUp(root: Root, store: StreamStore, told: (name: string) => void): Promise<void> {
  let removed = 0;
  for await (const { name, fingerprint, isPublished } of unfinishedFiles(root.own('incoming'))) {
    if (removed++ === MAX_REMOVED) return;
    // First, so that it is found again if this does not come to its end.
    if (!isPublished) await store.remove(fingerprint);
    await removeLeftOver(name);
    told(name);
  }
  for (const directory of ['gone', 'expiring'] as const) {
    for await (const name of unfinishedDocuments(root.own(directory))) {
      if (removed++ === MAX_REMOVED) return;
      await removeLeftOver(name);
      told(name);
    }
  }
}
