import type { AppendFile } from '../../storage/append-file.ts';
import { type HttpfstreamError, ResourceGoneError, StreamTruncatedError } from '../../wire/errors.ts';
import type { EndReason } from '../../wire/protocol.ts';
import type { Feed } from '../feed.ts';
import type { Follower, FollowerSink } from '../follower.ts';
import type { Outcome } from '../outcome.ts';
import type { AppendRequest } from '../request.ts';
import { Appender, type AppenderOwner } from './appender.ts';
import { type Durability, GroupWriter, type WriterDependencies } from './group-writer.ts';

/** Time between two looks whether a client that is on the way has been let in. */
const RETURN_MS = 100;

/** What a session is made of. */
export interface SessionOptions extends WriterDependencies {
  feed: Feed;
  file: AppendFile;
  /** The client's token; without one the session ends with its connection. */
  token: string | undefined;
  /** Position at which the session began; below `feed.committed` when it goes on. */
  start: number;
  /** How long it waits for an appender that was lost, in milliseconds. */
  graceMs: number;
  /** Whether its client is on the way, and only the server is slow to let it in. */
  isReturning: () => boolean;
  /** Whether the server closes, so that it waits for nobody. */
  isClosing: () => boolean;
  durability: Durability;
  /** How it had ended already, if its client came back after that. */
  endedBefore: Outcome | undefined;
  /**
   * Finds out what happened to the file before it is called finished, and closes the stream if it is to be closed.
   * Never rejects.
   *
   * @returns what keeps the append from having finished
   */
  complete: (closes: boolean) => Promise<HttpfstreamError | undefined>;
  /** Remembers how the session ended, before anybody is told. Never rejects. */
  record: (outcome: Outcome) => Promise<void>;
  /** Remembers instead how it had ended already. Never rejects. */
  takeBack: () => Promise<void>;
  /** Whether it appends to a stream that goes on when it has ended. */
  isStreamOpen: () => boolean;
  /** Whether nothing may be appended after it. */
  isStreamClosed: () => boolean;
  /** Called when it has ended, and the followers know. */
  over: (outcome: Outcome) => void;
}

/**
 * The one append to a feed, from its beginning to its end. Connections may come
 * and go meanwhile: at any time one {@link Appender}, or none, holds it.
 */
export class Session {
  readonly feed: Feed;
  /** Position at which it began. */
  readonly start: number;
  readonly #token: string | undefined;
  readonly #options: SessionOptions;
  readonly #writer: GroupWriter;
  readonly #sizeBefore: number;
  #holder: Appender | undefined;
  #attempt: number | undefined;
  #closes = false;
  #grace: NodeJS.Timeout | undefined;
  #ended: Promise<void> | undefined;
  #failure: HttpfstreamError | undefined;
  #outcome: Outcome | undefined;
  #endPosition: number | undefined;

  constructor(options: SessionOptions) {
    const { feed, file, token, start, durability } = options;
    this.feed = feed;
    this.start = start;
    this.#token = token;
    this.#options = options;
    this.#sizeBefore = feed.committed;
    this.#writer = new GroupWriter(feed, file, durability, options, {
      drained: () => this.#holder?.owner.drained(),
      safe: (position) => this.#holder?.owner.safe(position),
      failed: (error) => this.lose(error),
    });
  }

  /** The file that it writes, which is its own. */
  get file(): AppendFile {
    return this.#options.file;
  }

  /** What writes its bytes. */
  get writer(): GroupWriter {
    return this.#writer;
  }

  /** Set when it ends or has ended; settles when it has. Never rejects. */
  get ended(): Promise<void> | undefined {
    return this.#ended;
  }

  /** How it has ended, if it has. */
  get outcome(): Outcome | undefined {
    return this.#outcome;
  }

  /** The position below which its bytes are in the file. */
  get committed(): number {
    return this.#endPosition ?? this.feed.committed;
  }

  /** Set when bytes were refused, or the file is no longer what it was. */
  get failure(): HttpfstreamError | undefined {
    return this.#failure;
  }

  /** Whether the client that brings `token` is the one that began it. */
  belongsTo(token: string | undefined): boolean {
    return token !== undefined && token === this.#token;
  }

  /** Makes a follower, who stays for the session, or for longer where others may append after it. */
  join(position: number, sink: FollowerSink): Follower {
    return this.feed.join(position, sink, this.#options.isStreamOpen() ? 'stream' : 'session');
  }

  /** Whether `appender` holds it. */
  isHeldBy(appender: Appender): boolean {
    return this.#holder === appender;
  }

  /** Number of its client's last request, if it counts them. */
  get attempt(): number | undefined {
    return this.#attempt;
  }

  /**
   * Gives the session to a new connection; the one before, if it is still there, is deposed.
   *
   * @param request of the client
   */
  attach(owner: AppenderOwner, { attempt, closes = false }: AppendRequest): Appender {
    const deposed = this.#holder;
    this.#attempt = attempt;
    this.#closes = closes;
    this.#holder = new Appender(this, owner);
    clearTimeout(this.#grace);
    deposed?.owner.deposed();
    this.feed.setWaiting(false);
    return this.#holder;
  }

  /** Waits for its client, whose connection was lost; ends as `interrupted` when it has not come back in time. */
  awaitReturn(graceMs = this.#options.graceMs): void {
    this.#holder = undefined;
    if (this.#ended !== undefined) return;
    if (this.#options.isClosing()) {
      void this.end('shutdown');
      return;
    }
    const isRepeated = this.#options.endedBefore !== undefined && this.#broughtNothing;
    if (this.#token === undefined || graceMs <= 0 || isRepeated) {
      void this.end('interrupted');
      return;
    }
    this.feed.setWaiting(true);
    this.#grace = setTimeout(() => this.#graceIsOver(), graceMs).unref();
  }

  /** Ends because of what happened to its file; the holder is told. */
  lose(error: HttpfstreamError): void {
    if (this.#failure !== undefined || this.#outcome !== undefined) return;
    this.#failure = error;
    const reason = reasonOf(error);
    // Also when it is ending: the end that its client waits for will be another one.
    this.#holder?.owner.lost(reason, error);
    void this.end(reason);
  }

  /**
   * Takes no more bytes, writes what it has and ends the feed: for `reason`, or
   * for what went wrong. Idempotent; the first reason stays. Never rejects.
   *
   * @param status with `finished`: of the command whose output it was, if its appender tells
   */
  end(reason: EndReason, status?: number): Promise<void> {
    this.#ended ??= this.#end({ reason, status });
    return this.#ended;
  }

  #graceIsOver(): void {
    if (this.#options.isReturning()) this.#grace = setTimeout(() => this.#graceIsOver(), RETURN_MS).unref();
    else void this.end('interrupted');
  }

  async #end({ reason, status }: Outcome): Promise<void> {
    clearTimeout(this.#grace);
    this.#writer.stop();
    await this.#writer.secured();
    // What is called finished must be there.
    const change =
      reason === 'finished' && this.#failure === undefined
        ? await this.#options.complete(this.#closes)
        : undefined;
    if (change !== undefined) this.lose(change);
    const failure = this.#failure;
    const { endedBefore, record, takeBack } = this.#options;
    // The handshake that a proxy repeated too late, say: it must not undo how the append had ended.
    const isLost = reason === 'interrupted' && failure === undefined;
    if (isLost && this.#broughtNothing && endedBefore !== undefined) {
      await takeBack();
      this.#isOver(endedBefore);
      return;
    }
    const actual = failure === undefined ? { reason, status } : { reason: reasonOf(failure) };
    await record(actual);
    if (this.#failure === failure || this.#failure === undefined) {
      this.#isOver(actual);
      return;
    }
    // It was lost while that was remembered.
    const lost = { reason: reasonOf(this.#failure) };
    await record(lost);
    this.#isOver(lost);
  }

  #isOver(outcome: Outcome): void {
    this.#outcome = outcome;
    this.#endPosition = this.feed.committed;
    const { isStreamClosed, over } = this.#options;
    // Others may append after it: those who are there for that stay.
    const isForAll = !['finished', 'interrupted'].includes(outcome.reason) || isStreamClosed();
    this.feed.end(outcome, isForAll ? 'stream' : 'session');
    if (this.#options.isClosing()) this.feed.end({ reason: 'shutdown' }, 'stream');
    over(outcome);
  }

  get #broughtNothing(): boolean {
    return this.#writer.received === this.#sizeBefore;
  }
}

function reasonOf(error: HttpfstreamError): EndReason {
  if (error instanceof ResourceGoneError) return 'deleted';
  return error instanceof StreamTruncatedError ? 'truncated' : 'interrupted';
}
