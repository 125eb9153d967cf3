import type { AppendRecord, Sidecar, SidecarStore } from '../../storage/records/sidecar-store.ts';
import type { StoredFile } from '../../storage/stored-file.ts';
import type { Outcome } from '../outcome.ts';
import type { Syncer } from '../syncer.ts';

/** As good as the record of a file to which nobody ever appended. */
const NOTHING: AppendRecord = { start: 0, state: 'finished' };

/**
 * What is remembered of the last append to each file, over restarts: whose it
 * was, where it began, and how it ended.
 */
export class AppendHistory {
  readonly #sidecars: SidecarStore;
  readonly #syncer: Syncer;
  readonly #isDurable: boolean;
  /** Until then the sessions that a server before this one left open wait for their clients. */
  readonly #awaitedUntilMs: number;

  /**
   * @param options.isDurable whether what is remembered must survive a loss of power
   * @param options.graceMs how long from now on the sessions of a server before this one wait
   */
  constructor(
    sidecars: SidecarStore,
    syncer: Syncer,
    { isDurable, graceMs }: { isDurable: boolean; graceMs: number },
  ) {
    this.#sidecars = sidecars;
    this.#syncer = syncer;
    this.#isDurable = isDurable;
    this.#awaitedUntilMs = performance.now() + graceMs;
  }

  /** How much longer the sessions of a server before this one wait, in milliseconds; 0 when that is over. */
  get remainingGraceMs(): number {
    return Math.max(0, this.#awaitedUntilMs - performance.now());
  }

  /** The last append to a file. Undefined when there was none. */
  async last({ stat }: StoredFile): Promise<AppendRecord | undefined> {
    return lastAppend(await this.#sidecars.read(stat.fingerprint), stat.size);
  }

  /** Whether the client of an append, which no session of this server is, may still come back. */
  isAwaited(last: AppendRecord | undefined): last is AppendRecord {
    return last?.state === 'open' && last.session !== undefined && this.remainingGraceMs > 0;
  }

  /** How the last append to a file of this size, to which nobody appends, has ended. Never rejects. */
  async outcome({ stat }: Pick<StoredFile, 'stat'>, size: number): Promise<Outcome> {
    try {
      const sidecar = await this.#sidecars.peek(stat.fingerprint);
      const { state, end = 0, status } = lastAppend(sidecar, stat.size) ?? NOTHING;
      // Shorter than it was: a loss of power, say, took what was not synced yet.
      if (state !== 'finished' || size < end) return { reason: 'interrupted' };
      // What was appended since is not what the command wrote.
      return { reason: 'finished', status: size === end ? status : undefined };
    } catch {
      // Rather this than to say `finished` of what broke.
      return { reason: 'interrupted' };
    }
  }

  /** Remembers an append that has begun, or goes on. */
  async begin(file: StoredFile, append: AppendRecord): Promise<void> {
    await this.#write(file, append);
  }

  /**
   * Remembers how an append ended. Never rejects: if it cannot be written, the
   * append stays `open`, which is taken for interrupted later, or is forgotten.
   *
   * @param append what was remembered at its beginning
   * @param end size of the file
   */
  async end(file: StoredFile, append: AppendRecord, end: number, { reason, status }: Outcome): Promise<void> {
    // A session that waits for its client over a restart is open.
    if (reason === 'shutdown') return;
    const { fingerprint } = file.stat;
    const state = reason === 'finished' ? 'finished' : 'interrupted';
    try {
      if (reason === 'deleted' && !(await file.state()).isLinked) await this.#sidecars.remove(fingerprint);
      else await this.#write(file, { ...append, state, end, status });
    } catch {
      if (state === 'finished') await this.#forget(fingerprint).catch(() => undefined);
    }
  }

  /** Rather no record than one of an append that goes on; but what makes the file a stream must stay. */
  async #forget(fingerprint: string): Promise<void> {
    const sidecar = await this.#sidecars.read(fingerprint);
    if (sidecar?.stream === undefined) await this.#sidecars.remove(fingerprint);
  }

  /** Remembers an append as it was before. Never rejects. */
  async undo(file: StoredFile, last: AppendRecord): Promise<void> {
    await this.#write(file, last).catch(() => undefined);
  }

  async #write({ location, stat }: StoredFile, append: AppendRecord): Promise<void> {
    const change = (sidecar: Sidecar | undefined) => ({ ...sidecar, path: location, append });
    const write = (durable: boolean) => this.#sidecars.update(stat.fingerprint, change, { durable });
    await (this.#isDurable ? this.#syncer.run(() => write(true)) : write(false));
  }
}

function lastAppend(sidecar: Sidecar | undefined, size: number): AppendRecord | undefined {
  const { append, stream } = sidecar ?? {};
  // Nothing was brought since it had finished; or it had, and that it closed the stream was told before.
  const isFinished = append?.state === 'open' && (append.finishedAt === size || stream?.closed === true);
  return isFinished ? { ...append, state: 'finished', end: size } : append;
}

/** Whether the client that comes with `session` is the one whose append was recorded, and nobody wrote since. */
export function isContinuedBy(last: AppendRecord, session: string | undefined, size: number): boolean {
  if (session === undefined || last.session !== session) return false;
  return last.end === undefined ? last.start <= size : last.end === size;
}
