import type { AppendFile } from '../../storage/append-file.ts';
import { setAside } from '../../storage/records/aside.ts';
import type { StreamState } from '../../storage/records/stream-state.ts';
import type { Report } from '../../storage/report.ts';
import type { Root } from '../../storage/root.ts';
import { ResourceGoneError } from '../../wire/errors.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import type { StreamStore } from '../streams/stream-store.ts';

/**
 * Opens the file of a stream to be appended to. Of one that was written behind the stream's back
 * what belongs to it stays.
 *
 * @param known what is held of the stream
 * @returns the file, and how much of it belongs to the stream
 * @throws {ResourceGoneError} when another file has its name
 */
export async function openOwned(
  { root, store, report }: { root: Root; store: StreamStore; report: Report },
  fingerprint: string,
  resource: ResourcePath,
  known: StreamState,
): Promise<{ file: AppendFile; size: number }> {
  const file = await root.openAppend(resource, { create: false });
  try {
    if (file.stat.fingerprint !== fingerprint) throw new ResourceGoneError('the file was made anew');
    const stat = await file.look();
    const { state } = await store.read(stat);
    const owned = Math.max(Math.min(known.size, stat.size), state.size);
    if (owned < stat.size) {
      const aside = await setAside(root, file, owned);
      const detail = { resource: resource.toString(), position: owned, aside };
      report('bytes of which no producer knows were set aside', detail);
    }
    return { file, size: owned };
  } catch (error) {
    await file.close();
    throw error;
  }
}
