import { FollowSession } from '../client/session/follow-session.ts';
import type { SessionOptions } from '../client/session/session-options.ts';
import { onAbort } from '../http/on-abort.ts';
import type { ActivityMessage } from '../wire/protocol.ts';
import type { FollowOptions, FollowState, FollowStream } from './follow-options.ts';
import { connectorOf } from './page-connection.ts';
import { pageUrl } from './page-url.ts';

/**
 * Follows a resource: what was written, then what is being written, until its
 * appender ends. An idle resource is read as it is. When the connection breaks,
 * it reconnects and resumes at its position.
 *
 * The result is an async iterable of bytes. It ends only when the stream `finished`, and throws otherwise, after the
 * bytes that came before: {@link StreamInterruptedError},
 * {@link ResourceGoneError} when the file was deleted or replaced,
 * {@link StreamTruncatedError}, {@link ResourceNotFoundError},
 * {@link RangeNotSatisfiableError}, {@link UnauthorizedError}, {@link ForbiddenRightError},
 * {@link UnexpectedStatusError},
 * {@link ConnectionError} when the first connection fails, {@link ConnectionLostError}
 * when it was lost later and no new one could be made, {@link ProtocolError} when
 * the server violated the protocol; the signal's reason; what the function throws that gives the token.
 *
 * @param url http, https, ws or wss URL of the resource, or one relative to the page's
 * @throws {InvalidUrlError}
 * @throws {TypeError} for invalid options
 */
export function follow(url: string | URL, options: FollowOptions = {}): FollowStream {
  return new PageFollow(pageUrl(url), options);
}

/**
 * How many bytes may wait for the reader. With more, the connection is closed until half of them are read: nothing
 * else holds a browser back.
 */
const MAX_UNREAD_BYTES = 16 * 1024 * 1024;

type Chunk = Uint8Array<ArrayBuffer>;

class PageFollow implements FollowStream {
  readonly #session: FollowSession;
  readonly #options: FollowOptions;
  readonly #forgetSignal: () => void;
  #state: FollowState = { type: 'connecting', attempt: 0 };
  /** Number of the attempt to reconnect; 0 for the first connection. */
  #attempt = 0;
  #isWaiting = false;
  #chunks: Chunk[] = [];
  #unreadBytes = 0;
  /** Whether there is no connection because so much is unread. */
  #isSuspended = false;
  #isRead = false;
  #isOver = false;
  /** What the reader is told after the last chunk. */
  #failure: { error: unknown } | undefined;
  /** Tells the reader that there is something new. */
  #wake = () => {};

  constructor(url: URL, options: FollowOptions) {
    const { token, signal, retry, onOpen, onType, onActivity } = options;
    this.#options = options;
    const connector = connectorOf(token);
    const connecting = () => {
      if (this.#state.type === 'reconnecting') this.#enter({ type: 'connecting', attempt: this.#attempt });
      return connector();
    };
    const session: SessionOptions = {
      token,
      ...(retry !== undefined && { retry }),
      onReconnect: ({ attempt, delayMs, error }) => {
        this.#attempt = attempt;
        this.#enter({ type: 'reconnecting', attempt, retryAt: Date.now() + delayMs, error });
      },
    };
    this.#session = new FollowSession(url, { ...options, ...session }, connecting, {
      onOpen: (opening) => {
        this.#isWaiting = false;
        this.#enterOpen(opening.live === true);
        onOpen?.(opening);
      },
      onReopen: (live) => this.#enterOpen(live),
      onWaiting: (isWaiting) => {
        this.#isWaiting = isWaiting;
        if (this.generation === undefined) this.#enter(isWaiting ? { type: 'missing' } : this.#state);
        else this.#enterOpen(!isWaiting);
      },
      onType: (contentType) => onType?.(contentType),
      ...(onActivity !== undefined && {
        onActivity: ({ type: _, ...activity }: ActivityMessage) => onActivity(activity),
      }),
      onBytes: (bytes) => this.#receive(bytes as Chunk),
      onLastByte: () => {},
      onFinish: () => this.#finish(),
      onFail: (error) => this.#fail(error),
      onBroken: (error) => this.#fail(error),
    });
    this.#forgetSignal = onAbort(signal, () => this.#abort(signal?.reason));
    if (!this.#isOver) this.#session.connect();
  }

  get position(): number {
    return this.#session.position - this.#unreadBytes;
  }

  get generation(): number | undefined {
    return this.#session.generation;
  }

  get contentType(): string | undefined {
    return this.#session.contentType;
  }

  get state(): FollowState {
    return this.#state;
  }

  reconnect(): void {
    this.#session.reconnect();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Chunk, void, undefined> {
    if (this.#isRead) throw new TypeError('somebody reads this already');
    this.#isRead = true;
    try {
      for (;;) {
        const chunk = this.#chunks.shift();
        if (chunk !== undefined) {
          this.#unreadBytes -= chunk.length;
          this.#resumeIfRead();
          yield chunk;
        } else if (this.#failure !== undefined) throw this.#failure.error;
        else if (this.#isOver) return;
        else {
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
        }
      }
    } finally {
      if (!this.#isOver) this.#enter({ type: 'closed' });
      this.#end();
    }
  }

  #receive(bytes: Chunk): void {
    this.#chunks.push(bytes);
    this.#unreadBytes += bytes.length;
    this.#wake();
    this.#suspendIfFull();
  }

  /** A browser reads from its WebSockets whether anybody wants that or not. */
  #suspendIfFull(): void {
    if (this.#isSuspended || this.#unreadBytes < MAX_UNREAD_BYTES) return;
    this.#isSuspended = true;
    this.#session.suspend();
  }

  #resumeIfRead(): void {
    if (!this.#isSuspended || this.#isOver || this.#unreadBytes > MAX_UNREAD_BYTES / 2) return;
    this.#isSuspended = false;
    this.#session.connect();
  }

  #enter(state: FollowState): void {
    if (this.#isOver || state === this.#state) return;
    this.#state = state;
    this.#options.onState?.(state);
  }

  #enterOpen(live: boolean): void {
    const idle = this.#isWaiting ? 'waiting' : 'idle';
    this.#enter({ type: live ? 'live' : idle });
  }

  #finish(): void {
    const { status, ending } = this.#session;
    this.#enter({ type: 'finished', status, ending });
    this.#end();
  }

  /** After what has come. */
  #fail(error: Error): void {
    this.#failure = { error };
    this.#enter({ type: 'failed', error, reason: this.#session.reason });
    this.#end();
  }

  /** At once. */
  #abort(error: unknown): void {
    if (this.#isOver) return;
    this.#chunks = [];
    this.#fail(error as Error);
  }

  #end(): void {
    this.#isOver = true;
    this.#forgetSignal?.();
    this.#session.abandon();
    this.#wake();
  }
}
