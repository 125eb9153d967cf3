import { parseRecord } from './file-record.ts';
import type { LevelStore, StoreChange } from './level-store.ts';
import type { ReadValue } from './record-draft.ts';
import { COUNT_KEY, dueKey, isFileKey, nameIn, rangeOf } from './record-keys.ts';

/** How many entries are written at a time. */
const BATCH = 1000;

/**
 * Makes anew what follows from files' records: what is due, and how many there are. Of a store that was repaired one may
 * lack what the other has.
 *
 * @throws what the disk does
 */
export async function indexAnew(store: LevelStore): Promise<void> {
  let changes: StoreChange[] = [];
  const add = async (change: StoreChange) => {
    changes.push(change);
    if (changes.length < BATCH) return;
    await store.write(changes, true);
    changes = [];
  };
  for await (const [key] of store.entries(...rangeOf('due'))) await add({ type: 'del', key });
  let count = 0;
  for await (const [key, value] of store.entries(...rangeOf('file'))) {
    count++;
    const { dueMs } = parseRecord(value);
    if (dueMs !== undefined) await add({ type: 'put', key: dueKey(dueMs, nameIn(key)), value: '' });
  }
  await add({ type: 'put', key: COUNT_KEY, value: String(count) });
  if (changes.length > 0) await store.write(changes, true);
}

/** Of how many files something is remembered. */
export async function countFiles(store: LevelStore): Promise<number> {
  let count = 0;
  for await (const _ of store.entries(...rangeOf('file'))) count++;
  return count;
}

/** Of how many files more something is remembered with these changes. @param read what was at a key before */
export function growthBy(changes: ReadonlyMap<string, string | undefined>, read: ReadValue): number {
  let grown = 0;
  for (const [key, value] of changes) {
    if (isFileKey(key)) grown += Number(value !== undefined) - Number(read(key) !== undefined);
  }
  return grown;
}
