import type { DirectoryEntry } from './directory-entry.ts';

/** What the server says of a name, in its JSON listing. */
interface ListedEntry {
  name: string;
  type: 'file' | 'directory';
  size?: number;
  modified: string;
  live: boolean;
  status?: number;
  relay?: boolean;
}

/** A directory as the server lists it. */
export interface Listing {
  entries: DirectoryEntry[];
  /** Whether there are more names than the server lists. */
  isTruncated: boolean;
}

/** Reads the JSON listing of a directory. */
export function parseListing(json: unknown): Listing {
  const { entries, truncated } = json as { entries: ListedEntry[]; truncated: boolean };
  return { entries: entries.map(entryOf), isTruncated: truncated };
}

function entryOf({ name, type, size, modified, live, status, relay }: ListedEntry): DirectoryEntry {
  return {
    name,
    isDirectory: type === 'directory',
    size,
    modifiedMs: Date.parse(modified),
    state: live ? 'live' : undefined,
    status,
    isRelayed: relay === true,
  };
}
