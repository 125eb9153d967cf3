import type { EntryState } from '../../wire/page.ts';

/** One name in a directory. */
export interface DirectoryEntry {
  name: string;
  /** What is compared of the name: see {@link nameKey}. */
  nameKey: string;
  isDirectory: boolean;
  /** Bytes; the committed ones while somebody appends. Undefined for directories, and where it is not known. */
  size: number | undefined;
  /** When it changed last, in milliseconds since 1970. */
  modifiedMs: number;
  /** How it stands; undefined where there is nothing to say. */
  state: EntryState | undefined;
  /** Exit status of the command whose output it is, if that is known. */
  status: number | undefined;
}

/** By what a directory is sorted. Directories come before files, whatever that is. */
export type SortKey = 'name' | 'size' | 'modified';

/** An order of entries. */
export interface SortOrder {
  key: SortKey;
  descending: boolean;
}

/** What is compared of an entry by name: without case, and with numbers by what they say, so that `b2` is before `b10`. */
export function nameKey(name: string): string {
  return name.toLowerCase().replace(/\d+/g, (digits) => {
    const value = digits.replace(/^0+(?=\d)/, '');
    return `0${String.fromCharCode(value.length)}${value}`;
  });
}

/** The path of an entry, relative to its directory: what comes after the slash in a link. */
export function entryHref({ name, isDirectory }: Pick<DirectoryEntry, 'name' | 'isDirectory'>): string {
  // With a dot and a slash in front a name with a colon is not taken for a scheme. A name that is not well-formed
  // has no escapes: the server has no path for it either.
  return `./${encodeURIComponent(name.replace(/\p{Surrogate}/gu, '\ufffd'))}${isDirectory ? '/' : ''}`;
}
