import type { AppendRecord, FileRecord } from '../../storage/records/file-record.ts';
import type { Records } from '../../storage/records/records.ts';
import { isCopy, type StreamState } from '../../storage/records/stream-state.ts';
import type { StoredFile } from '../../storage/stored-file.ts';
import { AppendBusyError, ResourceGoneError } from '../../wire/errors.ts';
import type { Outcome } from '../../wire/protocol.ts';
import { ResourcePath } from '../../wire/resource-path.ts';
import { withClosed } from '../readers/feed.ts';
import { forgetFile } from '../streams/fork-links.ts';

/** What is known of a file to which nobody appends. */
export type KnownState = Pick<StreamState, 'size' | 'closed'> & Partial<Pick<StreamState, 'version'>>;

/** How many ends are known that could not be written down. */
const MAX_UNWRITTEN = 1000;

/** Stands for what is not recorded of a copy: those are made to be appended to, and who was about to do so was killed. */
const NOTHING_COPIED: AppendRecord = { start: 0, state: 'open' };

/** Whether who has begun an append, if that has a name, may go on with it. */
export type MayReturn = (subject: string | undefined, path: ResourcePath) => boolean;

/**
 * What is remembered of the last append to each file, over restarts: whose it
 * was, where it began, and how it ended.
 */
export class AppendHistory {
  readonly #records: Records;
  readonly #isDurable: boolean;
  /** How appends ended whose records could not be written, by fingerprint: known until this server ends. */
  readonly #unwritten = new Map<string, AppendRecord>();
  readonly #graceMs: number;
  /** Until then the sessions that a server before this one left open wait for their clients. */
  #awaitedUntilMs: number;
  /** Who may come back, by now. */
  mayReturn: MayReturn = () => true;

  /**
   * @param options.isDurable whether what is remembered must survive a loss of power
   * @param options.graceMs how long the sessions of a server before this one wait, from {@link serve} on
   */
  constructor(records: Records, { isDurable, graceMs }: { isDurable: boolean; graceMs: number }) {
    this.#records = records;
    this.#isDurable = isDurable;
    this.#graceMs = graceMs;
    this.#awaitedUntilMs = performance.now() + graceMs;
  }

  /** To be called when clients can come: until then none of them can come back. */
  serve(): void {
    this.#awaitedUntilMs = performance.now() + this.#graceMs;
  }

  /** How much longer the sessions of a server before this one wait, in milliseconds; 0 when that is over. */
  get remainingGraceMs(): number {
    return Math.max(0, this.#awaitedUntilMs - performance.now());
  }

  /** The last append to a file. Undefined when there was none. */
  async last({ stat }: StoredFile): Promise<AppendRecord | undefined> {
    return lastAppend(await this.#read(stat.fingerprint), stat.size);
  }

  /** Whether the client of an append that an earlier server has left open may still come back to a path. */
  isAwaited(last: AppendRecord | undefined, path: ResourcePath): last is AppendRecord {
    const isOpen = last?.state === 'open' && last.session !== undefined;
    return isOpen && this.remainingGraceMs > 0 && this.mayReturn(last.subject, path);
  }

  /**
   * How a file has ended to which nobody appends: as the last append to it, or, if it is a stream that is closed, as
   * finished. Never rejects.
   *
   * @param known how many of its bytes count, and that it is closed, if it is: that may not be remembered yet, and
   *   what is remembered may be of an earlier version, before another program has cut it
   */
  async outcome(
    { stat }: Pick<StoredFile, 'stat'>,
    { size, closed: isClosed, version = 0 }: KnownState,
  ): Promise<Outcome> {
    try {
      const record = await this.#read(stat.fingerprint);
      const { stream } = record ?? {};
      const closed = isClosed ?? stream?.closed;
      const last = lastAppend(record, stat.size);
      if (last === undefined && stream === undefined && closed !== true)
        return { reason: 'finished', stored: true };
      const { state, end = 0, status }: Partial<AppendRecord> = last ?? { state: 'finished' };
      const hasFinished = state === 'finished';
      const closedAt = (stream?.version ?? 0) >= version ? (stream?.size ?? 0) : 0;
      const known = closed === true ? Math.max(hasFinished ? 0 : end, closedAt) : end;
      // Shorter than it was: a loss of power, say, took what was not synced yet.
      if (size < known || !(hasFinished || closed === true)) return { reason: 'interrupted' };
      // What was appended since is not what the command wrote.
      const isItsOwn = hasFinished && size === end;
      return withClosed({ reason: 'finished', status: isItsOwn ? status : undefined }, closed);
    } catch {
      // An end that is not known must not look like a success.
      return isClosed === true ? { reason: 'finished', closed: true } : { reason: 'interrupted' };
    }
  }

  /** Remembers an append that has begun, or goes on. */
  async begin(file: StoredFile, append: AppendRecord): Promise<void> {
    await this.#write(file, append, { isNew: true });
  }

  /**
   * Remembers how an append ended. Never rejects: if it cannot be written, this server knows, and to
   * the next one the append is `open`, which counts as interrupted once its grace time is over.
   *
   * @param append what was remembered at its beginning
   * @param end size of the file
   */
  async end(file: StoredFile, append: AppendRecord, end: number, { reason, status }: Outcome): Promise<void> {
    // A session that waits for its client over a restart is open.
    if (reason === 'shutdown') return;
    const state = reason === 'finished' ? 'finished' : 'interrupted';
    const left: AppendRecord = { ...append, state, end, status };
    // What is there by then is not what its client has brought, be it as long.
    const ended = reason === 'truncated' ? withoutClient(left) : left;
    try {
      if (reason === 'deleted' && !(await file.state()).isLinked) await this.#forget(file);
      else await this.#write(file, ended);
    } catch (error) {
      if (error instanceof ResourceGoneError) return;
      this.#unwritten.set(file.stat.fingerprint, ended);
      if (this.#unwritten.size > MAX_UNWRITTEN) {
        this.#unwritten.delete(this.#unwritten.keys().next().value as string);
      }
    }
  }

  /**
   * Remembers how the last append to a file has ended, if that is not written down, before others append to it: its
   * client would take what they bring for its own.
   *
   * @param size of the file
   * @throws {AppendBusyError} while a session that a server before this one left open waits for its client
   * @throws what the disk does
   */
  async settle(file: StoredFile, size: number): Promise<void> {
    const { fingerprint } = file.stat;
    const record = await this.#read(fingerprint);
    const last = lastAppend(record, size);
    if (last === undefined) return;
    if (last.start <= size && this.isAwaited(last, ResourcePath.parse(file.location))) {
      throw new AppendBusyError('the appender that had the resource before a restart is expected back');
    }
    const ended: AppendRecord = last.state === 'open' ? { ...last, state: 'interrupted', end: size } : last;
    // Of another size than it had then, it may get that size again by what others bring.
    const isOver = ended.session !== undefined && ended.end !== size;
    const written = record?.append?.state ?? 'open';
    const isWritten = written !== 'open' && !this.#unwritten.has(fingerprint);
    if (isOver || !isWritten) await this.#write(file, isOver ? withoutClient(ended) : ended);
  }

  /** Remembers an append as it was before. Never rejects. */
  async undo(file: StoredFile, last: AppendRecord): Promise<void> {
    await this.#write(file, last).catch(() => undefined);
  }

  async #read(fingerprint: string): Promise<FileRecord | undefined> {
    await this.#records.readable();
    const record = this.#records.get(fingerprint);
    const append = this.#unwritten.get(fingerprint);
    return append === undefined ? record : { path: '', ...record, append };
  }

  /** Of a file that another program has deleted; deletions of this server's own do that, too. */
  #forget({ stat: { fingerprint } }: StoredFile): Promise<void> {
    return this.#records.write(
      (draft) => {
        if (!draft.isBeingRemoved(fingerprint)) forgetFile(draft, fingerprint);
      },
      { durable: this.#isDurable, journaled: true },
    );
  }

  /**
   * @throws {ResourceGoneError} of what is not new, when the file was deleted meanwhile: then nothing is remembered
   *   of it any more
   */
  async #write(
    { location, stat }: StoredFile,
    append: AppendRecord,
    { isNew = false }: { isNew?: boolean } = {},
  ): Promise<void> {
    const { fingerprint } = stat;
    await this.#records.readable();
    // What of a file belongs to a stream that has producers is to be known, be the journal torn.
    const journaled = this.#records.get(fingerprint)?.stream?.producers === undefined;
    await this.#records.write(
      (draft) => {
        const record = draft.get(fingerprint);
        if (record === undefined && !isNew) throw new ResourceGoneError('the file was deleted');
        draft.set(fingerprint, { ...record, path: location, append });
      },
      { durable: this.#isDurable, isNew, journaled },
    );
    this.#unwritten.delete(fingerprint);
  }
}

function lastAppend(record: FileRecord | undefined, size: number): AppendRecord | undefined {
  const { stream } = record ?? {};
  const append = record?.append ?? (isCopy(stream) ? NOTHING_COPIED : undefined);
  // Nothing came since it had finished; or it had, and has closed the stream.
  const hasNothingNew = append?.finishedAt === size;
  const isFinished = append?.state === 'open' && (hasNothingNew || stream?.closed === true);
  if (!isFinished) return append;
  return { ...append, state: 'finished', end: size, status: hasNothingNew ? append.status : undefined };
}

/** An append with which nobody goes on. */
function withoutClient({ session: _, ...append }: AppendRecord): AppendRecord {
  return append;
}

/**
 * Whether the client that comes with `session` is the one whose append was recorded, and nobody wrote since.
 *
 * @param subject who that is, where there are rights
 */
export function isContinuedBy(
  last: AppendRecord,
  session: string | undefined,
  subject: string | undefined,
  size: number,
): boolean {
  if (session === undefined || last.session !== session || last.subject !== subject) return false;
  return last.end === undefined ? last.start <= size : last.end === size;
}
