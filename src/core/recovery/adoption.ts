import type { FileStat } from '../../storage/file-io.ts';
import type { RecordDraft } from '../../storage/records/record-draft.ts';
import { moveStream } from '../streams/fork-links.ts';
import { expiryMs } from '../streams/stream-expiry.ts';

/** A file of which something is remembered, and what is a copy of it. */
export interface Adoption {
  /** Of the file. */
  fingerprint: string;
  /** Path of the copy below the root. */
  location: string;
  copy: FileStat;
}

/**
 * Remembers of a copy what is remembered of the file, if something is; its positions keep their names, its time to
 * live is renewed. Where the copy has more than an append that had finished, another one had begun.
 */
export function adopt(draft: RecordDraft, { fingerprint, location, copy }: Adoption): void {
  const record = draft.get(fingerprint);
  if (record === undefined) return;
  const { dueMs: _, accessedMs: __, append, ...rest } = record;
  const stream = record.stream && { generation: generationOf(fingerprint), ...record.stream };
  const accessedMs = stream?.ttlSeconds === undefined ? undefined : Date.now();
  const dueMs = stream && expiryMs(stream, Date.now());
  const hasMore = append?.state === 'finished' && copy.size > Math.max(append.end ?? 0, stream?.size ?? 0);
  moveStream(draft, { path: record.path, fingerprint }, copy.fingerprint, {
    ...rest,
    path: location,
    ...(append && { append: hasMore ? { ...append, state: 'interrupted', end: copy.size } : append }),
    ...(stream && { stream }),
    ...(accessedMs !== undefined && { accessedMs }),
    ...(dueMs !== undefined && { dueMs }),
  });
}

/** Of two files that were at a path the later one has the larger one. */
export function generationOf(fingerprint: string): number {
  return Number(fingerprint.slice(fingerprint.indexOf('-') + 1));
}
