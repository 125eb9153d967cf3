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
 * Notes that a stream is being removed: a start finds what has become of it. From now on its name is kept for its
 * forks.
 *
 * @param lost fingerprints of its forks that are gone, though the store has them
 */
export function beginRemoval(draft: RecordDraft, stream: StreamLink, lost: Fingerprints): void {
  draft.beginRemoval(stream.fingerprint, stream.path);
  if (draft.tombstone(stream.path) !== undefined) return;
  keepName(draft, stream, { origin: originOf(draft, stream), forks: without(draft.forks(stream), lost) });
}

/** Takes {@link beginRemoval} back: the stream stays. */
export function cancelRemoval(draft: RecordDraft, { path, fingerprint }: StreamLink): void {
  draft.endRemoval(fingerprint);
  if (draft.tombstone(path)?.fingerprint === fingerprint) draft.deleteTombstone(path);
}

/** Notes that a stream is removed: as {@link removeStream}, and a start has nothing more to look for. */
export function endRemoval(draft: RecordDraft, stream: StreamLink, lost: Fingerprints): void {
  removeStream(draft, stream, lost);
  draft.endRemoval(stream.fingerprint);
}

/** Whether a stream is a fork, or has forks, but for those that are `lost`. */
export function hasTies(
  record: FileRecord | undefined,
  forks: readonly StreamLink[],
  lost: Fingerprints,
): boolean {
  return record?.stream?.origin !== undefined || without(forks, lost).length > 0;
}

/**
 * Forgets a stream that is deleted. While forks of it live a tombstone stays; with the last fork of a tombstone that
 * goes.
 *
 * @param lost fingerprints of its forks that are gone, though the store has them
 */
export function removeStream(draft: RecordDraft, stream: StreamLink, lost: Fingerprints): void {
  const { fingerprint } = stream;
  const origin = originOf(draft, stream);
  const forks = without(draft.forks(stream), lost);
  draft.delete(fingerprint);
  if (forks.length > 0) keepName(draft, stream, { origin, forks });
  else if (origin !== undefined) removeForks(draft, origin, new Set([fingerprint]));
}

/** Forgets a file that is gone, and that it was forked. */
export function forgetFile(draft: RecordDraft, fingerprint: string): void {
  const origin = originOf(draft, { fingerprint });
  draft.delete(fingerprint);
  if (origin !== undefined) removeForks(draft, origin, new Set([fingerprint]));
}

/**
 * Removes forks from a source, and from its tombstone; what is kept only for its forks goes with the last one.
 *
 * @param lost fingerprints of the forks
 */
export function removeForks(draft: RecordDraft, source: StreamLink, lost: Fingerprints): void {
  const forks = without(draft.forks(source), lost);
  const tombstone = draft.tombstone(source.path);
  const record = draft.get(source.fingerprint);
  if (record?.isForked) setForks(draft, source.fingerprint, record, forks);
  if (tombstone?.fingerprint !== source.fingerprint) return;
  if (forks.length > 0) {
    keepName(draft, source, { origin: tombstone.origin, forks });
    return;
  }
  draft.deleteTombstone(source.path);
  // One that is being removed may stay, and is a fork then.
  if (record !== undefined || tombstone.origin === undefined) return;
  removeForks(draft, tombstone.origin, new Set([tombstone.fingerprint]));
}

/**
 * Gives what is remembered of a stream to another file: its record, which forks it has, and that it is one itself.
 *
 * @param record what is remembered of that file from now on
 */
export function moveStream(draft: RecordDraft, stream: StreamLink, to: string, record: FileRecord): void {
  const { fingerprint } = stream;
  const forks = draft.forks(stream);
  const origin = originOf(draft, stream);
  for (const fork of forks) moveOrigin(draft, fork, fingerprint, to);
  draft.delete(fingerprint);
  draft.set(to, record);
  draft.setForks(to, forks);
  if (origin === undefined) return;
  const siblings = draft.forks(origin);
  draft.setForks(
    origin.fingerprint,
    siblings.map((link) => (link.fingerprint === fingerprint ? { ...link, fingerprint: to } : link)),
  );
}

/** Says of a fork, or of its tombstone, that the stream it was forked from is in another file. */
function moveOrigin(draft: RecordDraft, fork: StreamLink, from: string, to: string): void {
  const record = draft.get(fork.fingerprint);
  const { stream } = record ?? {};
  if (record !== undefined && stream?.origin?.fingerprint === from) {
    draft.set(fork.fingerprint, {
      ...record,
      stream: { ...stream, origin: { ...stream.origin, fingerprint: to } },
    });
  }
  const tombstone = draft.tombstone(fork.path);
  if (tombstone?.fingerprint === fork.fingerprint && tombstone.origin?.fingerprint === from) {
    draft.setTombstone({ ...tombstone, origin: { ...tombstone.origin, fingerprint: to } });
  }
}

/** Puts a tombstone where a stream is, or was, if it has forks. */
function keepName(
  draft: RecordDraft,
  { path, fingerprint }: StreamLink,
  { origin, forks }: { origin: StreamLink | undefined; forks: readonly StreamLink[] },
): void {
  if (forks.length === 0) return;
  draft.setTombstone({ path, fingerprint, ...(origin && { origin }) });
  draft.setForks(fingerprint, forks);
}

/** What a stream was forked from. */
function originOf(
  draft: RecordDraft,
  { fingerprint }: Pick<StreamLink, 'fingerprint'>,
): StreamLink | undefined {
  const origin = draft.get(fingerprint)?.stream?.origin;
  return origin && { path: origin.path, fingerprint: origin.fingerprint };
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
