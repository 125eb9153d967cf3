import type { Core } from '../../core/core.ts';
import { Permit } from '../../core/permit.ts';
import { ignoreMissing } from '../../core/preconditions.ts';
import { isCopy } from '../../core/streams/stream-view.ts';
import { InvalidPathError, PathConflictError } from '../../wire/errors.ts';
import type { Outcome } from '../../wire/protocol.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import type { CopyLedger } from './copy-ledger.ts';
import { type AnswerRecord, StoredAnswer } from './stored-answer.ts';

/** What is here of a file that is elsewhere. */
export interface Copied {
  /** How many bytes. */
  size: number;
  /** Generation of the file there. */
  generation: number;
  /**
   * How the file has ended there, as far as that was told; undefined when more may have come, or what is here is a
   * part.
   */
  outcome: Outcome | undefined;
  /** Whether nothing will come any more. */
  isClosed: boolean;
  /** Where it is there, as far as that is known. */
  url: string | undefined;
  /** The head of the answer of which it is the body, if it comes from a plain HTTP server. */
  answer: AnswerRecord | undefined;
}

/**
 * What is at a path: a copy, nothing, `local`: a file that was not copied, or to which something else was appended
 * since, or `occupied`: there is no place for a file, since it is a directory, or its name is too long. What a
 * directory has in it may come from elsewhere.
 */
export type Found = Copied | 'local' | 'occupied' | undefined;

/** Where a copy comes from. */
export interface CopySource {
  /** Where it is there. */
  url: string;
  /** The head of the answer of which it is the body, if it comes from a plain HTTP server. */
  answer: AnswerRecord | undefined;
}

/** What a copy is to be. */
export interface NewCopy {
  /** Generation of the file there. */
  generation: number;
  /** Where it is there. */
  url: string;
  /** Content type of what was made as a stream. */
  contentType: string | undefined;
  /**
   * Whether it is whole or worth nothing, as the body of an answer is, maybe by way of other relays: a part as long as it
   * has not finished.
   */
  isAtomic: boolean;
  /** The head of the answer of which it is the body, if it comes from a plain HTTP server. */
  answer?: AnswerRecord;
}

/** The copy at one path of what is there on an upstream. */
export class CopyFile {
  readonly #core: Core;
  readonly #path: ResourcePath;
  readonly #ledger: CopyLedger;
  readonly #depth: number;

  /**
   * @param ledger in which it is counted
   * @param depth how many of the names of its path are not of what is copied
   */
  constructor(core: Core, path: ResourcePath, ledger: CopyLedger, depth: number) {
    this.#depth = depth;
    this.#core = core;
    this.#path = path;
    this.#ledger = ledger;
  }

  /** @throws what {@link Resources.openAny} and {@link Resources.view} throw */
  async look(): Promise<Found> {
    const { resources, sessions } = this.#core;
    const file = await resources.openAny(Permit.own(this.#path)).catch((error) => {
      return isNoPlace(error) ? 'occupied' : ignoreMissing(error);
    });
    if (file === undefined || file === 'occupied') return file;
    try {
      if (file.stat.kind !== 'file') return 'occupied';
      const { state } = await resources.view(file);
      if (!isCopy(state)) return 'local';
      const { copy, size, closed } = state;
      const last = await sessions.history.last(file);
      const hasEnded = last !== undefined && last.state !== 'open';
      const ended = hasEnded ? await sessions.history.outcome(file, state) : undefined;
      const outcome = copy.isAtomic === true && ended?.reason !== 'finished' ? undefined : ended;
      const { url, answer } = sourceOf(copy) ?? {};
      return { size, generation: copy.generation, outcome, isClosed: closed === true, url, answer };
    } finally {
      await file.close();
    }
  }

  /**
   * Reads its last bytes, so many at most.
   *
   * @param size how many bytes it has
   * @throws what {@link Resources.open} throws
   */
  async tail(size: number, maxBytes: number): Promise<Buffer> {
    const file = await this.#core.resources.open(Permit.own(this.#path));
    const start = Math.max(0, size - maxBytes);
    try {
      return file.readInLine(start, size - start);
    } finally {
      await file.close();
    }
  }

  /**
   * Makes room for it where only directories are in which nothing is, left by copies before it.
   *
   * @returns whether there is room now
   */
  async takePlace(): Promise<boolean> {
    return this.#path.segments.length > this.#depth && this.#core.root.removeEmpty(this.#path);
  }

  /**
   * Makes an empty one, which is a part until an append to it has ended.
   *
   * @throws {PathConflictError} when there is a file by now, which is somebody's own
   * @throws what {@link Streams.create} throws
   */
  async make({ generation, url, contentType, isAtomic, answer }: NewCopy): Promise<void> {
    const wanted = {
      contentType,
      copy: { generation, ...(isAtomic && { isAtomic }), source: { url, ...(answer && { answer }) } },
      ttlSeconds: undefined,
      expiresAt: undefined,
      isClosed: false,
      fork: undefined,
      isUpload: false,
    };
    const { isNew } = await this.#core.streams.create(Permit.own(this.#path), wanted, Buffer.alloc(0));
    if (!isNew) throw new PathConflictError('something else was made at this path meanwhile');
    this.counted(0);
  }

  /**
   * Replaces the head of the answer of which it is the body.
   *
   * @param url where it is there
   * @throws what {@link Resources.acquire} and {@link Resource.noteSource} throw
   */
  async note(url: URL, answer: AnswerRecord): Promise<void> {
    const { resources } = this.#core;
    const resource = await resources.acquire(Permit.own(this.#path));
    const source: CopySource = { url: url.href, answer };
    try {
      await resource.noteSource(source);
    } finally {
      resources.release(resource);
    }
  }

  /** Notes how many bytes it has: it may be one that nobody has counted. */
  counted(size: number): void {
    this.#ledger.has(this.#path, size);
  }

  /** Notes how many bytes it has by now, if it is counted. */
  grown(size: number): void {
    this.#ledger.grown(this.#path, size);
  }

  /** Deletes it, if it is a copy: what is local by now is nobody's to delete. */
  async forget(): Promise<void> {
    if (typeof (await this.look()) === 'object') await this.drop();
    else this.#ledger.dropped(this.#path);
  }

  /** Deletes it, with the directories that were for it: its readers get what they have not got, and are told. */
  async drop(): Promise<void> {
    await this.#core.streams.delete(Permit.own(this.#path)).catch(ignoreMissing);
    this.#core.root.pruneWayTo(this.#path, this.#depth);
    this.#ledger.dropped(this.#path);
  }
}

/** What a copy says of where it comes from; undefined when that makes no sense. */
function sourceOf({ source }: { source?: object } = {}): CopySource | undefined {
  const { url, answer } = (source ?? {}) as Partial<Record<keyof CopySource, unknown>>;
  if (typeof url !== 'string') return undefined;
  return { url, answer: typeof answer === 'object' ? (answer as AnswerRecord) : undefined };
}

/** Whether something else has the place of a file: a directory, or a file where one would have to be. */
export function isNoPlace(error: unknown): boolean {
  return error instanceof PathConflictError || error instanceof InvalidPathError;
}

/** Whether what is here may be served when nobody can be asked whether it still holds. */
export function mayServeStale(found: Found, url: URL): boolean {
  if (typeof found !== 'object') return found === 'local';
  if (found.outcome === undefined || found.url !== url.href) return false;
  if (found.answer === undefined) return true;
  return found.outcome.reason === 'finished' && StoredAnswer.from(url, found.answer)?.mayBeStale === true;
}
