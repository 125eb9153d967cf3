import type { AppendFile } from '../../storage/stored-file.ts';
import type { HttpfstreamError } from '../../wire/errors.ts';
import type { EndReason } from '../../wire/protocol.ts';
import type { Feed } from '../readers/feed.ts';
import type { Session } from './session.ts';

/** Who brings the bytes, and is notified: one connection. */
export interface LeaseHolder {
  /** Called when {@link Lease.append} returned false and may be called again. */
  drained(): void;
  /** Called when the bytes below `position` are safe; it only grows. */
  safe(position: number): void;
  /** Called once when the session ends by what happened to its file. */
  lost(reason: EndReason, error: HttpfstreamError): void;
  /** Called once when the client came back through another connection; this one counts no more. */
  deposed(): void;
}

/** The exclusive hold of one connection on a session, for as long as that lasts. Once it is deposed nothing it does has an effect. */
export class Lease {
  /** Made by {@link Session.attach}. */
  readonly owner: LeaseHolder;
  readonly #session: Session;

  constructor(session: Session, owner: LeaseHolder) {
    this.#session = session;
    this.owner = owner;
  }

  /** Where the bytes go. */
  get feed(): Feed {
    return this.#session.feed;
  }

  /** The file that it appends to. */
  get file(): AppendFile {
    return this.#session.file;
  }

  /** Position at which the session began. */
  get startPosition(): number {
    return this.#session.start;
  }

  /** How the session has ended, if it has. */
  get endReason(): EndReason | undefined {
    return this.#session.outcome?.reason;
  }

  /** The position below which its bytes are in the file. */
  get committed(): number {
    return this.#session.committed;
  }

  /** Position after the last byte that was taken. */
  get received(): number {
    return this.#session.writer.received;
  }

  /** The bytes below this position are safe. */
  get safePosition(): number {
    return this.#session.writer.safePosition;
  }

  /** Set when bytes were refused, or the file is no longer what it was. */
  get failure(): HttpfstreamError | undefined {
    return this.#session.failure;
  }

  /** Resolves when what came through an earlier connection is in the file. */
  ready(): Promise<void> {
    return this.#session.writer.flushed();
  }

  /**
   * Takes bytes, which are the session's own from now on. After the end they are dropped.
   *
   * @returns false when too many bytes wait for the disk: pause until `drained`
   */
  append(bytes: Buffer): boolean {
    return this.#isDeposed || this.#session.writer.append(bytes);
  }

  /** Ends the session, see {@link Session.end}. */
  async end(reason: EndReason, status?: number, closes?: boolean): Promise<void> {
    if (!this.#isDeposed) await this.#session.end(reason, status, closes);
  }

  /** Releases the session, whose connection was lost: it waits for the client to come back. */
  release(): void {
    if (!this.#isDeposed) this.#session.awaitReturn();
  }

  get #isDeposed(): boolean {
    return !this.#session.isHeldBy(this);
  }
}
