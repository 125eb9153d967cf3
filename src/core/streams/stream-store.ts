import type { FileStat } from '../../storage/file-io.ts';
import { type AppendRecord, type FileRecord, isDamaged } from '../../storage/records/file-record.ts';
import type { RecordDraft } from '../../storage/records/record-draft.ts';
import { NOT_DURABLE, type Records } from '../../storage/records/records.ts';
import { type StreamState, untypedState } from '../../storage/records/stream-state.ts';
import type { StoredFile } from '../../storage/stored-file.ts';
import { accessToleranceMs, expiryMs } from './stream-expiry.ts';

/** How many streams' last accesses are known more exactly than their records say. */
const MAX_ACCESSES = 4096;

/** What the disk has of a stream. */
export interface StoredStream {
  state: StreamState;
  /** When it was read or written last, in milliseconds since 1970. */
  accessedMs: number;
  /** Whether what was remembered is damaged, so that the state is a guess. */
  isDamaged: boolean;
}

interface Access {
  /** In milliseconds since 1970. */
  atMs: number;
  /** What the record says, as far as that is known. */
  notedMs: number | undefined;
  /** Set while that is being written. */
  noting: Promise<void> | undefined;
}

/** What is remembered of streams beside their bytes. */
export class StreamStore {
  readonly #records: Records;
  /** Whether what is remembered must survive a loss of power. */
  readonly isDurable: boolean;
  /** The last accesses to streams whose time to live is renewed by them, the most recent ones last. */
  readonly #accesses = new Map<string, Access>();

  constructor(records: Records, isDurable: boolean) {
    this.#records = records;
    this.isDurable = isDurable;
  }

  /** Reads what is remembered of an open file. */
  async readOf(file: Pick<StoredFile, 'stat' | 'look'>): Promise<StoredStream> {
    const { fingerprint, size } = file.stat;
    await this.#records.readable();
    const record = this.#records.get(fingerprint);
    // What is remembered may be newer than the look at the file when it was opened.
    const stat = (record?.stream?.size ?? 0) > size ? await file.look() : file.stat;
    return this.#stored(record, stat);
  }

  /** As {@link readOf}, of a file that was like this a moment ago, while nobody writes to it. */
  async read(stat: FileStat): Promise<StoredStream> {
    await this.#records.readable();
    return this.#stored(this.#records.get(stat.fingerprint), stat);
  }

  /** Notes that a stream is read or written now. What of that is written down may be a little older. Never rejects. */
  async touch(fingerprint: string, state: StreamState): Promise<void> {
    const toleranceMs = accessToleranceMs(state);
    if (toleranceMs === undefined) return;
    // First of all, and in line: the next look whether it has expired must find it.
    const access = this.#remember(fingerprint, Date.now());
    try {
      await this.#records.readable();
      access.notedMs ??= this.#records.get(fingerprint)?.accessedMs ?? 0;
      if (access.atMs - access.notedMs < toleranceMs) return;
      // Those who come meanwhile wait for the same.
      access.noting ??= this.#note(fingerprint, access).finally(() => {
        access.noting = undefined;
      });
      await access.noting;
    } catch {
      // What cannot be noted is tried again by the next one; until then it lives shorter after a restart.
    }
  }

  /**
   * Replaces what is remembered of a stream.
   *
   * @param location path of its file below the root
   */
  put(draft: RecordDraft, fingerprint: string, location: string, stream: StreamState): void {
    const { accessedMs: _, dueMs: __, ...record } = draft.get(fingerprint) ?? {};
    const accessedMs = this.#accessedMs(fingerprint, draft.get(fingerprint));
    const dueMs = expiryMs(stream, accessedMs);
    draft.set(fingerprint, {
      ...record,
      path: location,
      stream,
      ...(stream.ttlSeconds !== undefined && { accessedMs }),
      ...(dueMs !== undefined && { dueMs }),
    });
  }

  /**
   * As {@link put}, at once.
   *
   * @param isGone whether it was deleted meanwhile, and there is nothing to be remembered
   */
  async save(
    fingerprint: string,
    location: string,
    stream: StreamState,
    isGone: () => boolean = () => false,
  ): Promise<void> {
    await this.#records.write(
      (draft) => {
        if (!isGone()) this.put(draft, fingerprint, location, stream);
      },
      { durable: this.isDurable },
    );
  }

  /**
   * Replaces in what is remembered of a file the content type that an append has given it, and changes nothing else.
   *
   * @param isGone whether it was deleted meanwhile, and there is nothing to be remembered
   */
  async saveFileType(
    fingerprint: string,
    location: string,
    fileType: string | undefined,
    isGone: () => boolean,
  ): Promise<void> {
    await this.#records.write(
      (draft) => {
        const record = draft.get(fingerprint);
        const { fileType: _, ...state } = record?.stream ?? untypedState(0);
        const stream = { ...state, ...(fileType !== undefined && { fileType }) };
        if (!isGone()) draft.set(fingerprint, { ...record, path: location, stream });
      },
      { durable: this.isDurable, isNew: true, journaled: true },
    );
  }

  /** Where a file was when something of it was remembered last, as a path below the root; undefined when nothing is. */
  location(fingerprint: string): string | undefined {
    return this.#records.get(fingerprint)?.path;
  }

  /** When a stream was accessed last, as far as it is known in this moment, in milliseconds since 1970. */
  accessedMs(fingerprint: string): number {
    return this.#accessedMs(fingerprint, this.#records.get(fingerprint));
  }

  /** The version of a stream that is remembered; 0 when none is. */
  version(fingerprint: string): number {
    return this.#records.get(fingerprint)?.stream?.version ?? 0;
  }

  #stored(record: FileRecord | undefined, stat: FileStat): StoredStream {
    return {
      state: stateOf(record, stat),
      accessedMs: this.#accessedMs(stat.fingerprint, record),
      isDamaged: isDamaged(record),
    };
  }

  #accessedMs(fingerprint: string, record: FileRecord | undefined): number {
    return this.#accesses.get(fingerprint)?.atMs ?? record?.accessedMs ?? Date.now();
  }

  #remember(fingerprint: string, atMs: number): Access {
    const access = this.#accesses.get(fingerprint) ?? { atMs, notedMs: undefined, noting: undefined };
    access.atMs = atMs;
    this.#accesses.delete(fingerprint);
    this.#accesses.set(fingerprint, access);
    if (this.#accesses.size > MAX_ACCESSES) {
      this.#accesses.delete(this.#accesses.keys().next().value as string);
    }
    return access;
  }

  async #note(fingerprint: string, access: Access): Promise<void> {
    let notedMs = 0;
    await this.#records.write((draft) => {
      notedMs = access.atMs;
      noteAccess(draft, fingerprint, notedMs);
    }, NOT_DURABLE);
    access.notedMs = notedMs;
  }
}

function noteAccess(draft: RecordDraft, fingerprint: string, accessedMs: number): void {
  const record = draft.get(fingerprint);
  if (record?.stream === undefined) return;
  // Of one that nobody has to look at, because it was moved, say, that stays so.
  const dueMs = record.dueMs === undefined ? undefined : expiryMs(record.stream, accessedMs);
  draft.set(fingerprint, { ...record, accessedMs, ...(dueMs !== undefined && { dueMs }) });
}

function stateOf(record: FileRecord | undefined, { size, mtimeNs }: FileStat): StreamState {
  const { stream, append } = record ?? {};
  if (stream === undefined) return untypedState(size);
  const known = knownSize(stream, append);
  // Another program has cut it: what its positions named is gone.
  const isCut = size < stream.size;
  return {
    ...stream,
    size: Math.min(size, known),
    ...(isCut && { generation: Number(mtimeNs / 1000n) }),
  };
}

/**
 * How much of a file belongs to its stream at most. Of one that has producers
 * nothing beyond what is known of them: when the journal was damaged, the file has
 * what its producer does not know to have brought, and will bring again.
 */
function knownSize({ size, producers }: StreamState, append: AppendRecord | undefined): number {
  if (producers === undefined || append?.state === 'open') return Number.POSITIVE_INFINITY;
  return Math.max(size, append?.end ?? 0);
}
