import { isStatus } from '../../wire/protocol.ts';
import { isStreamState, type StreamLink, type StreamState } from './stream-state.ts';

/** What is remembered of the last append to a resource. */
export interface AppendRecord {
  /** The appender's token, if it sent one. */
  session?: string;
  /** Number of the appender's last request, if it counts them. */
  attempt?: number;
  /** Position at which its session began. */
  start: number;
  /** How it ended, or `open` if it has not: in this process, or in one that was killed. */
  state: 'open' | 'finished' | 'interrupted';
  /** Size of the file at the end. Missing while it is open. */
  end?: number;
  /** Size of the file when it had finished and was opened again, by a repeated handshake for instance. */
  finishedAt?: number;
  /** Exit status of the command that wrote it, if it has finished and its appender has sent it. */
  status?: number | undefined;
}

/** What is remembered of a file beside its bytes. It belongs to the file, not to its name. */
export interface FileRecord {
  /** Path of the file below the root when this was written: where a start looks for it after a crash. */
  path: string;
  /** The last append through a session. */
  append?: AppendRecord;
  /** What makes it a stream. */
  stream?: StreamState;
  /** Whether it has forks that live, or of which forks live. Which these are is remembered apart. */
  isForked?: true;
  /** When it was read or written last, in milliseconds since 1970, if its time to live begins anew then. */
  accessedMs?: number;
  /** Before which nobody needs to look whether it has expired, in milliseconds since 1970. */
  dueMs?: number;
}

/** What is left of a stream that was deleted while forks of it live, or forks of these. */
export interface Tombstone extends StreamLink {
  /** Where it was forked from itself. */
  origin?: StreamLink;
}

/** Stands for a record that is damaged, of which nobody knows what it said: something broke. */
const DAMAGED: FileRecord = { path: '', append: { start: 0, state: 'interrupted' } };

/** Whether this stands for a record that is damaged. */
export function isDamaged(record: FileRecord | undefined): boolean {
  return record === DAMAGED;
}

/** What records and tombstones had in them before their forks were remembered apart. */
interface WithForks {
  forks?: readonly StreamLink[];
}

/** Reads a record. One that is damaged says that an append was interrupted, see {@link isDamaged}. */
export function parseRecord(text: string): FileRecord {
  const value = parse(text) as (Partial<FileRecord> & WithForks) | undefined;
  const { forks, ...record } = value ?? {};
  const { path, append, stream, isForked, accessedMs = 0, dueMs = 0 } = record;
  const isWhole =
    typeof path === 'string' &&
    (append !== undefined || stream !== undefined || forks !== undefined || isForked === true) &&
    (append === undefined || isAppendRecord(append)) &&
    (stream === undefined || isStreamState(stream)) &&
    (forks === undefined || areLinks(forks)) &&
    Number.isFinite(accessedMs) &&
    Number.isFinite(dueMs);
  if (!isWhole) return DAMAGED;
  return { ...record, path, ...(forks !== undefined && { isForked: true }) };
}

/** Reads a tombstone. Undefined when it is damaged. */
export function parseTombstone(text: string): Tombstone | undefined {
  const { forks = [], ...tombstone } = (parse(text) ?? {}) as Partial<Tombstone> & WithForks;
  const { origin } = tombstone;
  return isLink(tombstone) && areLinks(forks) && (origin === undefined || isLink(origin))
    ? tombstone
    : undefined;
}

/** Reads forks. Those that are damaged are none. */
export function parseForks(text: string): readonly StreamLink[] {
  const forks = parse(text);
  return areLinks(forks) ? forks : [];
}

/** The forks that a record or a tombstone has in it, from before they were remembered apart. */
export function forksWithin(text: string): readonly StreamLink[] {
  const { forks } = (parse(text) ?? {}) as WithForks;
  return areLinks(forks) ? forks : [];
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) ?? undefined;
  } catch {
    return undefined;
  }
}

function isAppendRecord(value: Partial<AppendRecord> | null): boolean {
  const { session = '', attempt = 0, start, state, end = 0, finishedAt = 0, status = 0 } = value ?? {};
  const areSizes = [attempt, start, end, finishedAt].every(Number.isSafeInteger);
  return (
    areSizes &&
    isStatus(status) &&
    typeof session === 'string' &&
    ['open', 'finished', 'interrupted'].includes(String(state))
  );
}

function areLinks(value: unknown): value is StreamLink[] {
  return Array.isArray(value) && value.every(isLink);
}

function isLink<T>(value: T): value is T & StreamLink {
  const { path, fingerprint } = (value ?? {}) as Partial<StreamLink>;
  return typeof path === 'string' && typeof fingerprint === 'string';
}
