import type { FileRecord } from '../../storage/records/file-record.ts';
import type { RecordDraft } from '../../storage/records/record-draft.ts';
import type { StreamLink } from '../../storage/records/stream-state.ts';

/**
 * Remembers a fork with its source, and with its tombstone: one that is being removed has both.
 *
 * @param source of which nothing may be remembered yet
 */
export function addFork(draft: RecordDraft, source: StreamLink, fork: StreamLink): void {
  const record = draft.get(source.fingerprint) ?? { path: source.path };
  draft.set(source.fingerprint, { ...record, forks: [...(record.forks ?? []), fork] });
  const tombstone = draft.tombstone(source.path);
  if (tombstone?.fingerprint !== source.fingerprint) return;
  draft.setTombstone({ ...tombstone, forks: [...tombstone.forks, fork] });
}

/**
 * Notes that a stream is being removed: a start finds what has become of it. From now on its name is kept for its forks.
 *
 * @param lost fingerprints of its forks that are no more, though it does not know
 */
export function beginRemoval(draft: RecordDraft, link: StreamLink, lost: ReadonlySet<string>): void {
  draft.beginRemoval(link.fingerprint, link.path);
  if (draft.tombstone(link.path) === undefined) bury(draft, link, lost);
}

/** Takes {@link beginRemoval} back: the stream stays. */
export function cancelRemoval(draft: RecordDraft, { path, fingerprint }: StreamLink): void {
  draft.endRemoval(fingerprint);
  if (draft.tombstone(path)?.fingerprint === fingerprint) draft.deleteTombstone(path);
}

/** Notes that a stream is removed: as {@link removeStream}, and a start has nothing more to look for. */
export function endRemoval(draft: RecordDraft, link: StreamLink, lost: ReadonlySet<string>): void {
  removeStream(draft, link, lost);
  draft.endRemoval(link.fingerprint);
}

/** Whether a stream is a fork, or has forks, but for those that are `lost`. */
export function hasTies(record: FileRecord | undefined, lost: ReadonlySet<string>): boolean {
  const { forks = [], stream } = record ?? {};
  return stream?.origin !== undefined || forks.some(({ fingerprint }) => !lost.has(fingerprint));
}

/**
 * Forgets a stream that is deleted. While forks of it live a tombstone stays; with the last fork of a tombstone that goes.
 *
 * @param lost fingerprints of its forks that are no more, though it does not know
 */
export function removeStream(draft: RecordDraft, link: StreamLink, lost: ReadonlySet<string>): void {
  const { fingerprint } = link;
  const origin = draft.get(fingerprint)?.stream?.origin;
  const isKept = bury(draft, link, lost);
  draft.delete(fingerprint);
  if (!isKept && origin !== undefined) removeForks(draft, origin, new Set([fingerprint]));
}

/**
 * Puts a tombstone where a stream is, if forks of it live.
 *
 * @returns whether they do
 */
function bury(draft: RecordDraft, { path, fingerprint }: StreamLink, lost: ReadonlySet<string>): boolean {
  const { forks = [], stream } = draft.get(fingerprint) ?? {};
  const living = forks.filter((fork) => !lost.has(fork.fingerprint));
  if (living.length === 0) return false;
  const origin = stream?.origin && { path: stream.origin.path, fingerprint: stream.origin.fingerprint };
  draft.setTombstone({ path, fingerprint, forks: living, ...(origin && { origin }) });
  return true;
}

/** Forgets a file that is no more, and that it was forked. */
export function forgetFile(draft: RecordDraft, fingerprint: string): void {
  const origin = draft.get(fingerprint)?.stream?.origin;
  draft.delete(fingerprint);
  if (origin !== undefined) removeForks(draft, origin, new Set([fingerprint]));
}

/**
 * Tells a source, and its tombstone, that forks are no more; what is kept only for its forks goes with the last one.
 *
 * @param lost fingerprints of the forks
 */
export function removeForks(draft: RecordDraft, source: StreamLink, lost: ReadonlySet<string>): void {
  const others = (forks: readonly StreamLink[]) => forks.filter(({ fingerprint }) => !lost.has(fingerprint));
  const record = draft.get(source.fingerprint);
  if (record?.forks !== undefined) setForks(draft, source.fingerprint, record, others(record.forks));
  const tombstone = draft.tombstone(source.path);
  if (tombstone?.fingerprint !== source.fingerprint) return;
  const forks = others(tombstone.forks);
  if (forks.length > 0) {
    draft.setTombstone({ ...tombstone, forks });
    return;
  }
  draft.deleteTombstone(source.path);
  // One that is being removed may stay, and is a fork then.
  if (record !== undefined || tombstone.origin === undefined) return;
  removeForks(draft, tombstone.origin, new Set([tombstone.fingerprint]));
}

/** A record of nothing but forks goes with them. */
function setForks(
  draft: RecordDraft,
  fingerprint: string,
  { forks: _, ...record }: FileRecord,
  forks: readonly StreamLink[],
): void {
  if (forks.length > 0) draft.set(fingerprint, { ...record, forks });
  else if (record.append !== undefined || record.stream !== undefined) draft.set(fingerprint, record);
  else draft.delete(fingerprint);
}
