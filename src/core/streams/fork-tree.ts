import type { NewFile } from '../../storage/new-file.ts';
import type { RecordDraft } from '../../storage/records/record-draft.ts';
import type { Records } from '../../storage/records/records.ts';
import type { Inheritance, StreamLink } from '../../storage/records/stream-state.ts';
import type { Root } from '../../storage/root/root.ts';
import { ContentTypeMismatchError, StreamConflictError } from '../../wire/errors.ts';
import { ResourcePath } from '../../wire/resource-path.ts';
import { FileFinder } from '../file-finder.ts';
import { ignoreMissing } from '../preconditions.ts';
import type { Resource } from '../resource.ts';
import type { ForkRequest, Inherited } from './create-request.ts';
import { addFork, removeForks } from './fork-links.ts';
import { forkPosition } from './fork-position.ts';
import { isJsonType, isSameType } from './stream-type.ts';

/** How many names a request may look at to find forks that are not where they were: what is not among them is gone. */
const MAX_LOOKS = 1000;

/** How many forks a stream may have, which are read and written together. */
const MAX_FORKS = 1000;

/**
 * How many streams may have named the positions of a fork: what it is forked from, what that is forked from, and so
 * on.
 */
const MAX_INHERITANCES = 100;

/**
 * Which streams were forked from which: a stream that is deleted leaves a tombstone for as long as forks of it live.
 */
export class ForkTree {
  readonly #root: Root;
  readonly #records: Records;
  /** Fingerprints of forks that are being made, and have no name yet. */
  readonly #unnamed = new Set<string>();

  constructor(root: Root, records: Records) {
    this.#root = root;
    this.#records = records;
  }

  /**
   * Copies what a fork begins with. It counts as living from now on, until it is {@link named}.
   *
   * @param source of the fork, which the caller has acquired
   * @param contentType what the fork is to hold
   * @throws {StreamConflictError} when the source has or is too many forks
   * @throws {ContentTypeMismatchError} when it holds something else
   * @throws what {@link Resource.assertWhole} and {@link forkPosition} throw
   */
  async copy(
    source: Resource,
    request: ForkRequest,
    contentType: string | undefined,
    fork: NewFile,
  ): Promise<Inherited> {
    const { source: path, offset, subOffset } = request;
    this.#unnamed.add(fork.stat.fingerprint);
    source.assertWhole();
    await this.#records.readable();
    const known = source.givenType;
    if (contentType !== undefined && known !== undefined && !isSameType(known, contentType)) {
      throw new ContentTypeMismatchError(`the source is of the type ${known}`);
    }
    if (this.#records.forks({ path: path.key, fingerprint: source.fingerprint }).length >= MAX_FORKS) {
      throw new StreamConflictError(`the source has ${MAX_FORKS} forks, which is as many as it may have`);
    }
    const position = await this.#copyPrefix(source, request, fork);
    if (isJsonType(contentType) && source.streamType === undefined && position > 0) {
      throw new ContentTypeMismatchError('the source is no stream of JSON values, one a line');
    }
    const { ttlSeconds, expiresAt } = source.state;
    return {
      source,
      origin: {
        path: path.key,
        fingerprint: source.fingerprint,
        ...(offset !== undefined && { offset }),
        ...(subOffset > 0 && { subOffset }),
        inherited: inheritedOf(source, position),
      },
      type: source.streamType,
      fileType: source.state.fileType,
      expiry: {
        ...(ttlSeconds !== undefined && { ttlSeconds }),
        ...(expiresAt !== undefined && { expiresAt }),
      },
    };
  }

  /** Notes that a fork has its name, or will have none. */
  named(fork: string): void {
    this.#unnamed.delete(fork);
  }

  /**
   * Remembers a fork with its source.
   *
   * @throws {StreamConflictError} when the source was deleted meanwhile
   */
  link(draft: RecordDraft, { source, origin }: Inherited, fork: StreamLink): void {
    if (source.isGone) throw new StreamConflictError('the source was deleted');
    addFork(draft, origin, fork);
  }

  /** Fingerprints of the forks of a stream that are gone, because another program has deleted them. */
  async lostForks(fingerprint: string): Promise<ReadonlySet<string>> {
    await this.#records.readable();
    return this.#lostOf(this.#records.forks({ path: '', fingerprint }));
  }

  /**
   * Whether a name is kept for the forks of a stream that was deleted. Those that another program has deleted are
   * forgotten; if none is left, the name is free, and so are those of the streams that it was the last reason for.
   *
   * @param isDurable whether it must stay so after a loss of power
   */
  async isKept(path: string, isDurable: boolean): Promise<boolean> {
    await this.#records.readable();
    const tombstone = this.#records.tombstone(path);
    if (tombstone === undefined) return false;
    const lost = await this.#lostOf(this.#records.forks(tombstone));
    if (lost.size === 0) return true;
    await this.#records.write((draft) => removeForks(draft, tombstone, lost), { durable: isDurable });
    await this.#records.readable();
    return this.#records.tombstone(path) !== undefined;
  }

  async #lostOf(forks: readonly StreamLink[]): Promise<ReadonlySet<string>> {
    const lost = new Set<string>();
    const finder = new FileFinder(this.#root, MAX_LOOKS);
    for (const fork of forks) if (!(await this.#isLiving(fork, finder))) lost.add(fork.fingerprint);
    return lost;
  }

  /** Whether a fork is there, or is about to be, or forks of it are, and so on. */
  async #isLiving(fork: StreamLink, finder: FileFinder): Promise<boolean> {
    if (this.#unnamed.has(fork.fingerprint) || (await this.#isThere(fork, finder))) return true;
    await this.#records.readable();
    const tombstone = this.#records.tombstone(fork.path);
    if (tombstone?.fingerprint !== fork.fingerprint) return false;
    for (const other of this.#records.forks(tombstone)) if (await this.#isLiving(other, finder)) return true;
    return false;
  }

  /** Whether the file of a stream is at its path, or beside it. */
  async #isThere({ path, fingerprint }: StreamLink, finder: FileFinder): Promise<boolean> {
    const there = await this.#root.stat(ResourcePath.parse(path)).catch(ignoreMissing);
    if (there?.fingerprint === fingerprint) return true;
    await this.#records.readable();
    const remembered = this.#records.get(fingerprint)?.path;
    return (await finder.find(fingerprint, [path, ...(remembered ? [remembered] : [])])) !== undefined;
  }

  async #copyPrefix(source: Resource, request: ForkRequest, fork: NewFile): Promise<number> {
    const file = await this.#root.openRead(request.source);
    try {
      if (file.stat.fingerprint !== source.fingerprint) {
        throw new StreamConflictError('the source was made anew');
      }
      const position = await forkPosition(source, file, request);
      await fork.copy(file, 0, position);
      return position;
    } finally {
      await file.close();
    }
  }
}

/** @throws {StreamConflictError} when too many were forked one from the other */
function inheritedOf({ names }: Resource, position: number): Inheritance[] {
  const inherited = names.inheritedUpTo(position);
  if (inherited.length <= MAX_INHERITANCES) return inherited;
  throw new StreamConflictError(`more than ${MAX_INHERITANCES} streams would be forked one from the other`);
}
