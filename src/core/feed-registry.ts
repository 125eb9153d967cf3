import { AppendConflictError, ServerClosingError } from '../errors.ts';
import type { ResourcePath } from '../storage/resource-path.ts';
import type { Root } from '../storage/root.ts';
import { Appender, type AppenderOwner } from './appender.ts';
import { Feed } from './feed.ts';
import { Syncer } from './syncer.ts';

/** Longest time for which written bytes wait to be made durable while a session goes on. */
const SYNC_INTERVAL_MS = 1000;

/**
 * All feeds, and who may append: one appender for each file. Files are told
 * apart by their identity on the disk, so that two names of one file (through
 * a symlink, say) are one resource.
 */
export class FeedRegistry {
  readonly #root: Root;
  readonly #syncer = new Syncer(SYNC_INTERVAL_MS);
  /** The feeds that are being appended to, by the identity of their file. */
  readonly #live = new Map<string, Feed>();
  /** One for each open file; settled, and gone from here, when it is closed. */
  readonly #openFiles = new Set<Promise<void>>();
  #closing = false;

  constructor(root: Root) {
    this.#root = root;
  }

  /** The feed of the file with this identity, while somebody appends to it. */
  live(identity: string): Feed | undefined {
    return this.#live.get(identity);
  }

  /**
   * Makes a file ready to be appended to, at its end.
   *
   * @throws {AppendConflictError} while another appender holds it
   * @throws {ServerClosingError} after `close`
   * @throws what {@link Root.openAppend} throws
   */
  async openAppend(resource: ResourcePath, owner: AppenderOwner): Promise<Appender> {
    this.#refuseWhenClosing();
    const file = await this.#root.openAppend(resource);
    const { identity } = file.stat;
    // Nothing awaits between this look and the reservation: of two that race, one sees the other.
    if (this.#closing || this.#live.has(identity)) {
      await file.close();
      this.#refuseWhenClosing();
      throw new AppendConflictError('the path already has an active appender');
    }

    let synced: Promise<void>;
    let fileClosed: () => void;
    const openFile = new Promise<void>((resolve) => {
      fileClosed = resolve;
    });
    const feed = new Feed(file, {
      ended: () => {
        this.#live.delete(identity);
        this.#syncer.forget(appender);
        synced = feed.committed === appender.startPosition ? Promise.resolve() : appender.sync();
      },
      idle: async () => {
        await synced;
        // A close that fails has lost nothing: what was written was synced, or reported, before.
        await file.close().catch(() => undefined);
        this.#openFiles.delete(openFile);
        fileClosed();
      },
    });
    const appender = new Appender(feed, owner, this.#syncer);
    this.#live.set(identity, feed);
    this.#openFiles.add(openFile);
    return appender;
  }

  /**
   * Takes no new appenders from now on, and waits until every feed has ended
   * and its file is closed. To end them is for those who hold them. Idempotent.
   */
  async close(): Promise<void> {
    this.#closing = true;
    await Promise.all(this.#openFiles);
    this.#syncer.close();
  }

  #refuseWhenClosing(): void {
    if (this.#closing) throw new ServerClosingError('the server is shutting down');
  }
}
