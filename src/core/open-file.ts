import type { StoredFile } from '../storage/stored-file.ts';

/** A file, or directory, as {@link Resources} opens it: to be read, and closed by whoever had it opened. */
export type OpenFile = Pick<
  StoredFile,
  'stat' | 'state' | 'look' | 'read' | 'readInLine' | 'readInto' | 'blocks' | 'close'
>;

/** What one reader of files may have in memory, lent by {@link OpenFile.blocks}. */
export type { BlockLoan } from '../storage/block-pool.ts';

/** How far the clock that dates files runs behind at most: it ticks with the system's timer. */
export const CLOCK_TICK_MS = 20;
