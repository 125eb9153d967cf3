import { type DirectoryList, LIST_VIEW, type ListRow, VIEW_QUERY } from '../../wire/page.ts';
import { type DirectoryEntry, nameKey } from './directory-entry.ts';

/** Where the list of the page's directory is, and what changes in it is told. */
export const LIST_URL = `?${VIEW_QUERY}=${LIST_VIEW}`;

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
  const name = isDirectory ? listed.slice(0, -1) : listed;
  return {
    name,
    nameKey: nameKey(name),
    isDirectory,
    size: size ?? undefined,
    modifiedMs,
    state: state ?? undefined,
    status,
  };
}
