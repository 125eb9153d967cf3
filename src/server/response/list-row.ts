import type { Standing } from '../../core/readers/followers.ts';
import type { ListRow } from '../../wire/page.ts';

/** One name in a directory, as clients are told of it. */
export interface ListedEntry {
  name: string;
  isDirectory: boolean;
  /** Bytes; the committed ones while somebody appends. Undefined for directories, and where nobody is to know. */
  size: number | undefined;
  /** Time of the last change, in milliseconds since 1970. */
  modifiedMs: number;
  /** How it stands; undefined for directories. */
  standing: Standing | undefined;
  /** Whether it is a directory that comes from an upstream. */
  isRelayed: boolean;
}

/** An entry as pages are told of it. */
export function listRow({ name, isDirectory, size, modifiedMs, standing, isRelayed }: ListedEntry): ListRow {
  const state = isRelayed ? 'relay' : (standing?.state ?? null);
  const { status } = standing ?? {};
  return [
    isDirectory ? `${name}/` : name,
    size ?? null,
    modifiedMs,
    state,
    ...((status === undefined ? [] : [status]) as [status?: number]),
  ];
}
