import { removeLeftOver, unfinishedFiles } from '../../storage/records/left-overs.ts';
import type { Records } from '../../storage/records/records.ts';
import type { Root } from '../../storage/root.ts';
import { forgetFile, removeStream } from '../streams/fork-links.ts';

/** How many files are removed at most: what is more is left for the next time, so that a start takes no longer. */
const MAX_REMOVED = 10_000;

/** With what is done to what a server was killed in the middle of. */
export interface CleanUpOptions {
  root: Root;
  records: Records;
  /** Whether what is done must survive a loss of power. */
  isDurable: boolean;
  /** Called with the name of each file that is removed. */
  removed: (name: string) => void;
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

/** A file whose name is gone is deleted, with all that belongs to that; one that is still there stays. */
async function finishRemovals({ root, records, isDurable }: CleanUpOptions): Promise<void> {
  for await (const { fingerprint, path } of records.removals()) {
    const isThere = (await root.fingerprintAt(path)) === fingerprint;
    await records.write(
      (draft) => {
        // Whoever wants its name looks which of its forks live.
        if (!isThere) removeStream(draft, { path, fingerprint }, new Set());
        draft.endRemoval(fingerprint);
      },
      { durable: isDurable },
    );
  }
}
