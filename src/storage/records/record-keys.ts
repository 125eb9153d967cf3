/**
 * What the store of records holds, by the beginning of its keys. Each space is in order of what follows.
 *
 * | key | value |
 * |---|---|
 * | `file!FINGERPRINT` | what is remembered of a file, as JSON |
 * | `tombstone!PATH` | what is left of a stream that lives on in its forks, as JSON |
 * | `forks!FINGERPRINT` | the forks of a file, or of what has left a tombstone, as a JSON array |
 * | `due!MS!FINGERPRINT` | nothing; when a file's record says that somebody has to look whether it has expired |
 * | `removal!FINGERPRINT` | path of a file that is being removed |
 * | `quota!PATTERN` | how many bytes are stored at the paths that match |
 * | `upstream!URL` | when the server there was known to be an httpfstream server, in milliseconds since 1970 |
 * | `count!` | of how many files something is remembered |
 * | `journaled!` | number of the last entry of the journal that the store has |
 */
export type KeySpace = 'file' | 'tombstone' | 'forks' | 'due' | 'removal' | 'quota' | 'upstream';

/** See {@link KeySpace}; of those that there are once. */
export const COUNT_KEY = 'count!';
export const JOURNALED_KEY = 'journaled!';

/** Longest time that a date has, in milliseconds since 1970. */
const MAX_MS = 8.64e15;

const MS_DIGITS = String(MAX_MS).length;

export function fileKey(fingerprint: string): string {
  return `file!${fingerprint}`;
}

export function isFileKey(key: string): boolean {
  return key.startsWith('file!');
}

export function tombstoneKey(path: string): string {
  return `tombstone!${path}`;
}

export function forksKey(fingerprint: string): string {
  return `forks!${fingerprint}`;
}

export function dueKey(dueMs: number, fingerprint: string): string {
  return `due!${digitsOf(dueMs)}!${fingerprint}`;
}

export function removalKey(fingerprint: string): string {
  return `removal!${fingerprint}`;
}

export function quotaKey(pattern: string): string {
  return `quota!${pattern}`;
}

export function upstreamKey(url: string): string {
  return `upstream!${url}`;
}

/** Where the keys of a space begin, and where they have ended. */
export function rangeOf(space: KeySpace): [from: string, to: string] {
  return [`${space}!`, `${space}"`];
}

/** The range of what is due at a time. */
export function rangeDue(nowMs: number): [from: string, to: string] {
  return ['due!', `due!${digitsOf(nowMs)}"`];
}

/** What follows the space in a key. */
export function nameIn(key: string): string {
  return key.slice(key.indexOf('!') + 1);
}

/** The file of which a key says when it is due. */
export function dueFile(key: string): string {
  return key.slice(key.lastIndexOf('!') + 1);
}

function digitsOf(ms: number): string {
  return String(Math.floor(Math.min(Math.max(ms, 0), MAX_MS))).padStart(MS_DIGITS, '0');
}
