import type { FileStat } from '../storage/file-io.ts';
import type { Root, Verdict } from '../storage/root/root.ts';
import type { ResourcePath } from '../wire/resource-path.ts';
import type { Permit } from './permit.ts';
import { ignoreMissing } from './preconditions.ts';
import type { Followers, Standing } from './readers/followers.ts';
import type { Resources } from './resources.ts';

/** A name in a directory, and what followers would find there. */
export interface ResourceEntry {
  name: string;
  stat: FileStat;
  /**
   * Bytes; the committed ones while somebody appends. Undefined for directories, and where nobody is to know how much
   * there is.
   */
  size: number | undefined;
  /** How it stands; undefined for directories. */
  standing: Standing | undefined;
}

/** What something in a directory is. */
export type Kind = FileStat['kind'];

/** Whether a client is to know of something in a directory, and of anything more. */
export type Judge = (kind: Kind, path: ResourcePath) => Verdict | Promise<Verdict>;

/** Lists directories. */
export class Directories {
  readonly #root: Root;
  readonly #resources: Resources;
  readonly #followers: Followers;

  constructor(root: Root, resources: Resources, followers: Followers) {
    this.#root = root;
    this.#resources = resources;
    this.#followers = followers;
  }

  /**
   * Yields what is in a directory, see {@link Root.list}.
   *
   * @param options.judge what the client is to know of
   */
  async *list(
    { path }: Permit<'list'>,
    { signal, judge }: { signal: AbortSignal; judge: Judge },
  ): AsyncGenerator<ResourceEntry, void, undefined> {
    const found = this.#root.list(path, { signal, judge: (name, kind) => judge(kind, path.child(name)) });
    for await (const { name, ...stat } of found) {
      yield this.#describe(name, stat);
    }
  }

  /** What is at a name in a directory; undefined when {@link list} would not yield it. */
  async entry(directory: ResourcePath, name: string): Promise<ResourceEntry | undefined> {
    const stat = this.#root.entries.stat(directory, name);
    return stat && this.#describe(name, stat);
  }

  async #describe(name: string, stat: FileStat): Promise<ResourceEntry> {
    if (stat.kind !== 'file') return { name, stat, size: undefined, standing: undefined };
    const feed = this.#followers.live(stat.fingerprint);
    const size = this.#isWhole(stat.fingerprint) ? (feed?.committed ?? stat.size) : undefined;
    return { name, stat, size, standing: await this.#followers.standing(stat, stat.size) };
  }

  /** What kind of thing is at a path; undefined when there is nothing. */
  async kindAt({ path }: Permit<'append' | 'form'>): Promise<Kind | undefined> {
    return (await this.#root.stat(path).catch(ignoreMissing))?.kind;
  }

  /** Whether what is in a file is all that there is; else nobody is to know how much that would be. */
  #isWhole(fingerprint: string): boolean {
    try {
      this.#resources.assertWhole(fingerprint);
      return true;
    } catch {
      return false;
    }
  }
}
