import { setImmediate as nextTurn } from 'node:timers/promises';

/** How many names are sorted in a turn of the event loop. */
const RUN_LENGTH = 2000;

interface Named {
  name: string;
}

/** Sorts what has names, none of them twice, by these: tens of thousands in turns, so that nobody else is held up. */
export async function sortedByName<T extends Named>(entries: readonly T[]): Promise<readonly T[]> {
  let runs: T[][] = [];
  for (let at = 0; at < entries.length; at += RUN_LENGTH) {
    if (at > 0) await nextTurn();
    runs.push(entries.slice(at, at + RUN_LENGTH).sort(byName));
  }
  while (runs.length > 1) {
    const merged: T[][] = [];
    for (let i = 0; i < runs.length; i += 2) {
      await nextTurn();
      // Of two that are sorted, sort() merges them.
      merged.push([...(runs[i] as T[]), ...(runs[i + 1] ?? [])].sort(byName));
    }
    runs = merged;
  }
  return runs[0] ?? [];
}

function byName(a: Named, b: Named): number {
  return a.name < b.name ? -1 : 1;
}
