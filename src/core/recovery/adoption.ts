import type { FileStat } from '../../storage/file-io.ts';
import type { FileRecord } from '../../storage/records/file-record.ts';
import type { RecordDraft } from '../../storage/records/record-draft.ts';
import { type StreamState, untypedState } from '../../storage/records/stream-state.ts';
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

/** Whether a file has so many bytes as is remembered: one that was copied while an append went on may have more. */
export function hasSizeOf({ stream, append }: FileRecord, size: number): boolean {
  // In the copy it is one that broke off.
  if (append?.state === 'open') return size >= Math.max(stream?.size ?? 0, append.start);
  return size === Math.max(stream?.size ?? 0, append?.end ?? 0);
}

/**
 * Remembers of a copy what is remembered of the file, if something is; its positions keep their names, its time to
 * live is renewed.
 */
export function adopt(draft: RecordDraft, { fingerprint, location, copy }: Adoption): void {
  const record = draft.get(fingerprint);
  if (record === undefined) return;
  const { dueMs: _, accessedMs: __, ...rest } = record;
  const { ttlSeconds, expiresAt, ...lasting } = record.stream ?? untypedState(0);
  // A file that may be another one is not to be deleted.
  const isExact = copy.size === Math.max(lasting.size, record.append?.end ?? record.append?.start ?? 0);
  const stream = record.stream && {
    generation: generationOf(fingerprint),
    ...lasting,
    ...(isExact && ttlSeconds !== undefined && { ttlSeconds }),
    ...(isExact && expiresAt !== undefined && { expiresAt }),
  };
  const accessedMs = stream?.ttlSeconds === undefined ? undefined : Date.now();
  const dueMs = stream && expiryMs(stream, Date.now());
  moveStream(draft, { path: record.path, fingerprint }, copy.fingerprint, {
    ...rest,
    path: location,
    ...(stream && { stream }),
    ...(accessedMs !== undefined && { accessedMs }),
    ...(dueMs !== undefined && { dueMs }),
  });
}

/**
 * Remembers of what may be a copy its type, and that it has not finished: not what would have bytes cut off or the file
 * deleted, or has anybody think that it is whole.
 */
export function distrust(draft: RecordDraft, { fingerprint, location, copy }: Adoption): void {
  const { stream } = draft.get(fingerprint) ?? {};
  draft.delete(fingerprint);
  draft.set(copy.fingerprint, {
    path: location,
    append: { start: 0, state: 'interrupted', end: copy.size },
    ...(stream && { stream: typedState(stream, copy.size) }),
  });
}

function typedState({ version, contentType, fileType }: StreamState, size: number): StreamState {
  return { version, size, ...(contentType && { contentType }), ...(fileType && { fileType }) };
}

/**
 * Of two files the one that was made later has the larger one: when it was made, in microseconds since 1970, where the
 * file system knows.
 */
export function generationOf(fingerprint: string): number {
  return Number(fingerprint.slice(fingerprint.indexOf('-') + 1));
}
