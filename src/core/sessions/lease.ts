import type { AppendFile } from '../../storage/stored-file.ts';
import type { HttpfstreamError } from '../../wire/errors.ts';
import type { EndReason } from '../../wire/protocol.ts';
import type { Feed } from '../readers/feed.ts';
import type { Session } from './session.ts';

/**
 * The exclusive hold of one connection on a session, for as long as that lasts. Once it is deposed nothing it does
 * has an effect.
 */
export class Lease {
  readonly #session: Session;
  /** Fences it off once another connection, or none, holds the session. */
  readonly #epoch: number;

  /** @param session which the connection holds by now, see {@link Session.attach} */
  constructor(session: Session) {
    this.#session = session;
    this.#epoch = session.epoch;
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

  /** Resolves when what came through an earlier connection is in the file, and its type is remembered. */
  ready(): Promise<void> {
    return this.#session.ready();
  }

  /** Gives the file a content type, see {@link Session.giveType}. */
  giveType(fileType: string): void {
    if (!this.#isDeposed) this.#session.giveType(fileType);
  }

  /**
   * Takes bytes, which are the session's own from now on. After the end they are dropped.
   *
   * @param isMerged whether they are, or may be, several short messages. Default: false
   * @returns false when too many bytes wait for the disk: pause until `drained`
   */
  append(bytes: Buffer, isMerged?: boolean): boolean {
    return this.#isDeposed || this.#session.writer.append(bytes, isMerged);
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
    return this.#session.epoch !== this.#epoch;
  }
}
