import type { StoredFile } from '../storage/stored-file.ts';
import { Feed } from './feed.ts';

/** The feeds, one for each file that somebody appends to or follows, and the files that they have open. */
export class Feeds {
  /** By fingerprint. */
  readonly #feeds = new Map<string, Feed>();
  /** One for each open file; settled, and gone from here, when it is closed. */
  readonly #files = new Set<Promise<void>>();
  readonly #committed: (file: StoredFile, position: number) => void;

  /** @param committed called when more bytes of a file are committed */
  constructor(committed: (file: StoredFile, position: number) => void) {
    this.#committed = committed;
  }

  /**
   * The feed of a file, while somebody has it.
   *
   * @param fingerprint of the file
   */
  get(fingerprint: string): Feed | undefined {
    return this.#feeds.get(fingerprint);
  }

  /**
   * The feed of a file, which is made if there is none.
   *
   * @param file shared with it, so that the caller closes it all the same
   * @param size how much of the file is good
   */
  open(file: StoredFile, size: number): Feed {
    const { fingerprint } = file.stat;
    const known = this.#feeds.get(fingerprint);
    if (known?.advance(size)) return known;
    // Another program has cut the file: what its followers have is not what is there.
    known?.end({ reason: 'truncated' });
    const feed = this.#make(file, size, () => {
      if (this.#feeds.get(fingerprint) === feed) this.#feeds.delete(fingerprint);
    });
    this.#feeds.set(fingerprint, feed);
    return feed;
  }

  /** As {@link open}, of a file that is not at its path any more: the feed is nobody else's. */
  openAlone(file: StoredFile, size: number): Feed {
    return this.#make(file, size, () => undefined);
  }

  /** Resolves when all files are closed. */
  async closed(): Promise<void> {
    await Promise.all(this.#files);
  }

  #make(file: StoredFile, size: number, idle: () => void): Feed {
    const shared = file.share();
    let closed = () => {};
    const open = new Promise<void>((resolve) => {
      closed = resolve;
    });
    this.#files.add(open);
    return new Feed(shared, size, {
      committed: (position) => this.#committed(file, position),
      idle: async () => {
        idle();
        // A close that fails has lost nothing: what was written was synced, or reported, before.
        await shared.close().catch(() => undefined);
        this.#files.delete(open);
        closed();
      },
    });
  }
}
