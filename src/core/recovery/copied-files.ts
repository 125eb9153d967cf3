import type { FileStat } from '../../storage/file-io.ts';
import { type FileRecord, isDamaged } from '../../storage/records/file-record.ts';
import { DURABLE, type Records } from '../../storage/records/records.ts';
import type { Root } from '../../storage/root/root.ts';
import { ResourcePath } from '../../wire/resource-path.ts';
import { expiryMs } from '../streams/stream-expiry.ts';

/** Where the copies of files are, by the fingerprints of what they are copies of. */
export type CopiedFiles = ReadonlyMap<string, FileStat & { location: string }>;

/**
 * Finds the copies in a root that was copied as a whole. A file is the copy of the one that was at its path last, if
 * nothing is remembered of it itself.
 */
export async function findCopies(root: Root, records: Records): Promise<CopiedFiles> {
  const last = new Map<string, string>();
  for await (const { fingerprint, record } of records.files()) {
    if (record.path === '' || isDamaged(record) || records.isBeingRemoved(fingerprint)) continue;
    const other = last.get(record.path);
    if (other === undefined || generationOf(fingerprint) > generationOf(other)) {
      last.set(record.path, fingerprint);
    }
  }
  const copies = new Map<string, FileStat & { location: string }>();
  for (const [location, fingerprint] of last) {
    const stat = await root.stat(ResourcePath.parse(location)).catch(() => undefined);
    if (stat?.kind === 'file' && records.get(stat.fingerprint) === undefined) {
      copies.set(fingerprint, { ...stat, location });
    }
  }
  return copies;
}

/** Remembers of copies what is remembered of the files. Done again after a crash, it goes on where that was. */
export async function adoptAll(copies: CopiedFiles, records: Records): Promise<void> {
  for (const [fingerprint, copy] of copies) {
    const record = records.get(fingerprint);
    if (record !== undefined) await adopt(copy, fingerprint, record, records);
  }
}

/**
 * Remembers of a copy what is remembered of a file; its positions keep their names, its time to live is renewed.
 *
 * @param record of the file
 */
export async function adopt(
  copy: FileStat,
  fingerprint: string,
  record: FileRecord,
  records: Records,
): Promise<void> {
  const { dueMs: _, accessedMs: __, ...rest } = record;
  const stream = record.stream && { generation: generationOf(fingerprint), ...record.stream };
  const accessedMs = stream?.ttlSeconds === undefined ? undefined : Date.now();
  const dueMs = stream && expiryMs(stream, Date.now());
  await records.write((draft) => {
    const forks = draft.forks({ path: record.path, fingerprint });
    draft.delete(fingerprint);
    draft.set(copy.fingerprint, {
      ...rest,
      ...(stream && { stream }),
      ...(accessedMs !== undefined && { accessedMs }),
      ...(dueMs !== undefined && { dueMs }),
    });
    draft.setForks(copy.fingerprint, forks);
  }, DURABLE);
}

/** The later of two files at a path has the larger one. */
function generationOf(fingerprint: string): number {
  return Number(fingerprint.slice(fingerprint.indexOf('-') + 1));
}
