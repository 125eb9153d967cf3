import type { StoredFile } from '../storage/stored-file.ts';
import { Feed } from './feed.ts';

/** Makes feeds, and closes the file of each when it has ended and its last follower has left. */
export class OpenFeeds {
  /** One for each open file; settled, and gone from here, when it is closed. */
  readonly #files = new Set<Promise<void>>();
  readonly #committed: (file: StoredFile, position: number) => void;

  /** @param committed called when more bytes of a file are committed */
  constructor(committed: (file: StoredFile, position: number) => void) {
    this.#committed = committed;
  }

  /**
   * Makes a feed of a file, which is its own from now on.
   *
   * @param size how much of the file is good
   * @param owner.ended called when no more bytes will come; the file stays open until what it returns has settled
   * @param owner.idle called when nobody may join any more
   */
  open(file: StoredFile, size: number, owner: { ended?: () => Promise<void>; idle?: () => void }): Feed {
    let settled: Promise<void> | undefined;
    let closed: () => void;
    const open = new Promise<void>((resolve) => {
      closed = resolve;
    });
    this.#files.add(open);
    return new Feed(file, size, {
      committed: (position) => this.#committed(file, position),
      ended: () => {
        settled = owner.ended?.();
      },
      idle: async () => {
        owner.idle?.();
        await settled;
        // A close that fails has lost nothing: what was written was synced, or reported, before.
        await file.close().catch(() => undefined);
        this.#files.delete(open);
        closed();
      },
    });
  }

  /** Resolves when all files are closed. */
  async closed(): Promise<void> {
    await Promise.all(this.#files);
  }
}
