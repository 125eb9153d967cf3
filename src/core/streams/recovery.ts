import { ResourceNotFoundError } from '../../errors.ts';
import type { RedoLog } from '../../storage/redo-log.ts';
import type { RedoRecord } from '../../storage/redo-record.ts';
import type { RepairFile } from '../../storage/repair-file.ts';
import type { Root } from '../../storage/root.ts';
import type { StreamState } from '../../storage/stream-state.ts';
import { Producers } from './producers.ts';
import type { StreamRecord } from './stream-record.ts';
import type { StreamStore } from './stream-store.ts';

/** How many streams are put right at a time. */
const PARALLEL = 8;

/** Told what was found and done, for the operator. */
export type Report = (message: string, detail: Readonly<Record<string, unknown>>) => void;

/**
 * Makes good what the log has and files or sidecars do not: the server before
 * this one was killed. Then empties the log.
 *
 * @returns how many streams the log was about
 */
export async function recover(
  root: Root,
  store: StreamStore,
  log: RedoLog<StreamRecord>,
  report: Report,
): Promise<number> {
  const { records, isEmpty } = await log.replay();
  if (isEmpty) return 0;
  // The log is as long as a checkpoint lets it become, which is little.
  const streams = new Map<string, RedoRecord<StreamRecord>[]>();
  for await (const record of records) {
    const { file } = record.header;
    const others = streams.get(file);
    if (others === undefined) streams.set(file, [record]);
    else others.push(record);
  }
  const all = streams.values();
  const repairAll = async () => {
    for (const mine of all) await repair(root, store, mine, report);
  };
  await Promise.all(Array.from({ length: PARALLEL }, repairAll));
  await log.drop(await log.rotate());
  return streams.size;
}

async function repair(
  root: Root,
  store: StreamStore,
  records: readonly RedoRecord<StreamRecord>[],
  report: Report,
): Promise<void> {
  const { file: fingerprint, path } = (records.at(-1) as RedoRecord<StreamRecord>).header;
  let file: RepairFile;
  try {
    file = await root.openRepair(path);
  } catch (error) {
    if (error instanceof ResourceNotFoundError) return;
    throw error;
  }
  try {
    if (file.stat.fingerprint !== fingerprint) return;
    const { state } = await store.read(file.stat);
    const after = await replay(file, state, records, report);
    if (after.version === state.version) return;
    // Else the system has it, as it had when the appends were answered.
    if (store.isDurable) await file.sync();
    await store.save(fingerprint, path, after);
  } finally {
    await file.close();
  }
}

/** Makes the appends that `state` does not have, up to one that is missing. */
async function replay(
  file: RepairFile,
  state: StreamState,
  records: readonly RedoRecord<StreamRecord>[],
  report: Report,
): Promise<StreamState> {
  const { producers: entries, ...known } = state;
  const producers = new Producers(entries);
  let after: StreamState = known;
  let { size } = file.stat;
  let intent: StreamRecord | undefined;
  for (const { header, payload } of records) {
    const { version, start, length, seq, producer, closed } = header;
    if (version <= after.version) continue;
    const isInFile = length > 0 && payload.length === 0;
    if (
      version !== after.version + 1 ||
      start > size ||
      (isInFile && !header.intent && size < start + length)
    ) {
      report('the redo log is damaged: appends after this position are lost', {
        path: header.path,
        position: after.size,
      });
      break;
    }
    intent = header.intent ? header : undefined;
    if (header.intent) continue;
    // Also what is there: the disk may have lost what the system still has.
    if (payload.length > 0) {
      await file.writeAt(start, payload);
      size = Math.max(size, start + length);
    }
    after = {
      ...after,
      version,
      size: start + length,
      ...(seq !== undefined && { seq }),
      ...(closed && { closed, ...(producer && { closedBy: producer }) }),
    };
    if (producer !== undefined) {
      const [id, epoch, number] = producer;
      producers.set(id, { id, epoch, seq: number });
    }
  }
  // It was under way, and nobody was told that it was made.
  if (intent !== undefined && size > intent.start && size <= intent.start + intent.length) {
    await file.truncate(intent.start);
  }
  return entries === undefined ? after : { ...after, producers: producers.entries() };
}
