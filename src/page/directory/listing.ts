import type { DirectoryList, ListRow } from '../../wire/page.ts';
import type { DirectoryEntry } from './directory-entry.ts';

/** A directory as the server lists it. */
export interface Listing {
  entries: DirectoryEntry[];
  /** Whether there are more names than the server lists. */
  isTruncated: boolean;
}

/** Reads a list of a directory. */
export function listingOf({ rows, truncated }: DirectoryList): Listing {
  return { entries: rows.map(entryOf), isTruncated: truncated };
}

/** Reads what is said of one name. */
export function entryOf([listed, size, modifiedMs, state, status]: ListRow): DirectoryEntry {
  const isDirectory = listed.endsWith('/');
  return {
    name: isDirectory ? listed.slice(0, -1) : listed,
    isDirectory,
    size: size ?? undefined,
    modifiedMs,
    state: state ?? undefined,
    status,
  };
}
