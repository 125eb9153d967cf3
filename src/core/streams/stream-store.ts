import type { FileStat } from '../../storage/file-io.ts';
import type { AppendRecord, Sidecar, SidecarStore } from '../../storage/records/sidecar-store.ts';
import { type StreamState, untypedState } from '../../storage/records/stream-state.ts';
import type { StoredFile } from '../../storage/stored-file.ts';
import { accessToleranceMs } from './stream-expiry.ts';

/** What the disk has of a stream. */
export interface StoredStream {
  state: StreamState;
  /** When it was read or written last, in milliseconds since 1970. */
  accessedMs: number;
  /** Whether what was remembered is damaged, so that the state is a guess. */
  isDamaged: boolean;
}

/** What is remembered of streams beside their bytes. */
export class StreamStore {
  readonly #sidecars: SidecarStore;
  /** Whether what is remembered must survive a loss of power. */
  readonly isDurable: boolean;

  constructor(sidecars: SidecarStore, isDurable: boolean) {
    this.#sidecars = sidecars;
    this.isDurable = isDurable;
  }

  /** Reads what is remembered of an open file. */
  async readOf(file: Pick<StoredFile, 'stat' | 'look'>): Promise<StoredStream> {
    const { fingerprint, size } = file.stat;
    const sidecar = await this.#sidecars.read(fingerprint);
    const accessedMs = await this.#sidecars.accessedMs(fingerprint);
    // What is remembered may be newer than the look at the file when it was opened.
    const stat = (sidecar?.stream?.size ?? 0) > size ? await file.look() : file.stat;
    return stored(sidecar, accessedMs, stat);
  }

  /** As {@link readOf}, of a file that was like this a moment ago, while nobody writes to it. */
  async read(stat: FileStat): Promise<StoredStream> {
    const sidecar = await this.#sidecars.read(stat.fingerprint);
    return stored(sidecar, await this.#sidecars.accessedMs(stat.fingerprint), stat);
  }

  /** Tells that a stream is read or written now. */
  async touch(fingerprint: string, state: StreamState): Promise<void> {
    const toleranceMs = accessToleranceMs(state);
    if (toleranceMs !== undefined) await this.#sidecars.touch(fingerprint, toleranceMs);
  }

  /**
   * @param location path below the root
   * @param options.syncsName false when {@link syncNames} follows, which is cheaper for many
   */
  async save(
    fingerprint: string,
    location: string,
    stream: StreamState,
    { syncsName = true }: { syncsName?: boolean } = {},
  ): Promise<void> {
    await this.#sidecars.update(fingerprint, (sidecar) => ({ ...sidecar, path: location, stream }), {
      durable: this.isDurable,
      syncsName,
    });
  }

  /** Makes what was saved without its name survive a loss of power, if it must. */
  async syncNames(fingerprints: Iterable<string>): Promise<void> {
    if (this.isDurable) await this.#sidecars.syncNames(fingerprints);
  }

  /** Where a file was when something of it was remembered last, as a path below the root; undefined when nothing is. */
  async location(fingerprint: string): Promise<string | undefined> {
    return (await this.#sidecars.read(fingerprint))?.path;
  }

  /** The version of a stream that is remembered; 0 when none is. */
  async version(fingerprint: string): Promise<number> {
    return (await this.#sidecars.read(fingerprint))?.stream?.version ?? 0;
  }

  async remove(fingerprint: string): Promise<void> {
    await this.#sidecars.remove(fingerprint);
  }
}

function stored(sidecar: Sidecar | undefined, accessedMs: number, { size, mtimeNs }: FileStat): StoredStream {
  const { stream } = sidecar ?? {};
  if (stream === undefined)
    return { state: untypedState(size), accessedMs, isDamaged: sidecar?.isDamaged === true };
  const known = knownSize(stream, sidecar?.append);
  // Another program has cut it: what its positions named is gone.
  const isCut = size < stream.size;
  const state = {
    ...stream,
    size: Math.min(size, known),
    ...(isCut && { generation: Number(mtimeNs / 1000n) }),
  };
  return { state, accessedMs, isDamaged: false };
}

/**
 * How much of a file belongs to its stream at most. Of one that has producers
 * nothing beyond what is known of them: when the log was damaged, the file has
 * what its producer does not know to have brought, and will bring again.
 */
function knownSize({ size, producers }: StreamState, append: AppendRecord | undefined): number {
  if (producers === undefined || append?.state === 'open') return Number.POSITIVE_INFINITY;
  return Math.max(size, append?.end ?? 0);
}
