import type { FileRecord } from '../../storage/records/file-record.ts';
import type { RecordDraft } from '../../storage/records/record-draft.ts';
import type { StreamLink } from '../../storage/records/stream-state.ts';

type Fingerprints = ReadonlySet<string>;

/**
 * Remembers a fork with its source.
 *
 * @param source of which nothing may be remembered yet
 */
export function addFork(draft: RecordDraft, source: StreamLink, fork: StreamLink): void {
  const forks = draft.forks(source);
  const record = draft.get(source.fingerprint) ?? { path: source.path };
  draft.set(source.fingerprint, { ...record, isForked: true });
  draft.setForks(source.fingerprint, [...forks, fork]);
}

/**
 * Forgets a stream that is deleted. While forks of it live a tombstone stays; with the last fork of a tombstone that goes.
 *
 * @param lost fingerprints of its forks that are no more, though it does not know
 */
export function removeStream(
  draft: RecordDraft,
  { path, fingerprint }: StreamLink,
  lost: Fingerprints,
): void {
  const living = without(draft.forks({ path, fingerprint }), lost);
  const { stream } = draft.get(fingerprint) ?? {};
  const origin = stream?.origin && { path: stream.origin.path, fingerprint: stream.origin.fingerprint };
  draft.delete(fingerprint);
  if (living.length > 0) {
    draft.setTombstone({ path, fingerprint, ...(origin && { origin }) });
    draft.setForks(fingerprint, living);
  } else if (origin !== undefined) removeForks(draft, origin, new Set([fingerprint]));
}

/** Forgets a file that is no more, and that it was forked. */
export function forgetFile(draft: RecordDraft, fingerprint: string): void {
  const origin = draft.get(fingerprint)?.stream?.origin;
  draft.delete(fingerprint);
  if (origin !== undefined) removeForks(draft, origin, new Set([fingerprint]));
}

/**
 * Tells a source, or its tombstone, that forks are no more; what is kept only for its forks goes with the last one.
 *
 * @param lost fingerprints of the forks
 */
export function removeForks(draft: RecordDraft, source: StreamLink, lost: Fingerprints): void {
  const forks = without(draft.forks(source), lost);
  const tombstone = draft.tombstone(source.path);
  if (tombstone?.fingerprint !== source.fingerprint) {
    const record = draft.get(source.fingerprint);
    if (record?.isForked) setForks(draft, source.fingerprint, record, forks);
  } else if (forks.length > 0) {
    draft.setTombstone(tombstone);
    draft.setForks(source.fingerprint, forks);
  } else {
    draft.deleteTombstone(source.path);
    if (tombstone.origin !== undefined) {
      removeForks(draft, tombstone.origin, new Set([tombstone.fingerprint]));
    }
  }
}

function without(forks: readonly StreamLink[], lost: Fingerprints): readonly StreamLink[] {
  return forks.filter(({ fingerprint }) => !lost.has(fingerprint));
}

/** A record of nothing but forks goes with them. */
function setForks(
  draft: RecordDraft,
  fingerprint: string,
  { isForked: _, ...record }: FileRecord,
  forks: readonly StreamLink[],
): void {
  const isAlone = record.append === undefined && record.stream === undefined;
  if (forks.length === 0 && isAlone) draft.delete(fingerprint);
  else {
    draft.set(fingerprint, forks.length > 0 ? { ...record, isForked: true } : record);
    draft.setForks(fingerprint, forks);
  }
}
