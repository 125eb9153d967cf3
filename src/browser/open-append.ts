import type { AppendResult } from '../client/session/append-request.ts';
import { AppendSession } from '../client/session/append-session.ts';
import { onAbort } from '../http/on-abort.ts';
import type { AppendOptions, AppendState, AppendStream } from './append-options.ts';
import { connectorOf } from './page-connection.ts';
import { pageUrl } from './page-url.ts';

/**
 * Opens a resource to append to it, and creates it if it is missing.
 *
 * When its connection breaks, it reconnects and sends exactly the bytes that had not arrived. A page that is left ends
 * its append as interrupted. Errors, of `write` and `close`: {@link AppendConflictError} while another appender holds
 * the resource, {@link PositionMismatchError}, {@link ForbiddenPathError},
 * {@link StreamClosedError}, {@link UnauthorizedError}, {@link ForbiddenRightError},
 * {@link UnexpectedStatusError}, {@link ConnectionError}
 * when the first connection fails, {@link ConnectionLostError} when no new one
 * could be made, {@link ProtocolError} when the server violated the protocol,
 * {@link StreamInterruptedError} when it would not resume,
 * {@link ResourceGoneError} and {@link StreamTruncatedError} when the file was
 * deleted or cut in the meantime; the reason of an abort; what the caller's functions throw.
 *
 * @param url http, https, ws or wss URL of the resource, or one relative to the page's
 * @throws {InvalidUrlError}
 * @throws {TypeError} for invalid options
 */
export function openAppend(url: string | URL, options: AppendOptions = {}): AppendStream {
  return new PageAppend(pageUrl(url), options);
}

const encoder = new TextEncoder();

class PageAppend implements AppendStream {
  readonly #session: AppendSession;
  readonly #onState: (state: AppendState) => void;
  readonly closed: Promise<AppendResult>;
  #resolve: (result: AppendResult) => void = () => {};
  #reject: (error: unknown) => void = () => {};
  #forgetSignal = () => {};
  #state: AppendState = { type: 'connecting', attempt: 0 };
  /** Number of the attempt to reconnect; 0 for the first connection. */
  #attempt = 0;
  /** Whether the last chunk was written. */
  #isClosing = false;
  /** What was written before is in the buffer then. */
  #accepted = Promise.resolve();

  constructor(url: URL, options: AppendOptions) {
    const { token, signal, onState = () => {} } = options;
    this.#onState = onState;
    this.closed = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    // Whoever writes or closes is told.
    this.closed.catch(() => {});
    const connect = connectorOf(token);
    const connecting = () => {
      this.#enter({ type: 'connecting', attempt: this.#attempt });
      return connect();
    };
    this.#session = new AppendSession(
      url,
      {
        ...options,
        onReconnect: ({ attempt, delayMs, error }) => {
          this.#attempt = attempt;
          this.#enter({ type: 'reconnecting', attempt, retryAt: Date.now() + delayMs, error });
        },
        onReconnected: () => this.#enter({ type: 'open' }),
      },
      connecting,
      {
        onOpen: () => this.#enter({ type: 'open' }),
        onConfirmed: () => {
          const { result } = this.#session;
          this.#enter({ type: 'finished', result });
          this.#forgetSignal();
          this.#resolve(result);
        },
        onFail: (error) => this.#fail(error),
      },
    );
    this.#forgetSignal = onAbort(signal, () => this.abort(signal?.reason));
    if (!this.#isOver) this.#session.connect();
  }

  get startPosition(): number | undefined {
    return this.#session.startPosition;
  }

  get acknowledgedBytes(): number {
    return this.#session.acknowledgedBytes;
  }

  get contentType(): string | null | undefined {
    return this.#session.contentType;
  }

  get state(): AppendState {
    return this.#state;
  }

  write(chunk: Uint8Array | string): Promise<void> {
    if (this.#isClosing) return Promise.reject(new TypeError('the append was closed'));
    const bytes = typeof chunk === 'string' ? encoder.encode(chunk) : chunk;
    const accepted = this.#accepted.then(() => this.#write(bytes));
    this.#accepted = accepted;
    accepted.catch(() => {});
    return accepted;
  }

  close(): Promise<AppendResult> {
    if (!this.#isClosing) {
      this.#isClosing = true;
      this.#accepted.then(
        () => this.#session.end(),
        // It has failed: that is what `closed` says, too.
        () => {},
      );
    }
    return this.closed;
  }

  abort(reason: unknown = new DOMException('This operation was aborted', 'AbortError')): void {
    if (this.#isOver) return;
    this.#session.abandon(reason as Error);
    this.#fail(reason);
  }

  reconnect(): void {
    this.#session.reconnect();
  }

  get #isOver(): boolean {
    return this.#state.type === 'finished' || this.#state.type === 'failed';
  }

  #write(bytes: Uint8Array): Promise<void> {
    if (this.#state.type === 'failed') return Promise.reject(this.#state.error);
    return new Promise((resolve, reject) => {
      this.#session.write([bytes], (error) => (error === undefined ? resolve() : reject(error)));
    });
  }

  #fail(error: unknown): void {
    this.#enter({ type: 'failed', error });
    this.#forgetSignal();
    this.#reject(error);
  }

  #enter(state: AppendState): void {
    const isRepeated = state.type === 'connecting' && this.#state.type === 'connecting';
    if (this.#isOver || isRepeated) return;
    this.#state = state;
    this.#onState(state);
  }
}
