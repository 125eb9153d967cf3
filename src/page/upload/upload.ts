import { append } from '../../browser/append.ts';
import type { AppendState } from '../../browser/append-options.ts';
import { Backoff } from '../../client/session/reconnector.ts';
import { ConnectionError } from '../../wire/errors.ts';
import { RAW_QUERY } from '../../wire/page.ts';
import { RETRY } from '../state/retry.ts';
import { fetchWithToken, tabToken } from '../token/tab-token.ts';

/**
 * So much of both ends of what is there is compared with the file that is to go on with it: all of what people edit. At its end
 * alone another one could be the same, as those are that end with zeros.
 */
const COMPARED_BYTES = 4 * 1024 * 1024;

/** How it stands with a file that is uploaded. */
export type UploadState =
  | { readonly type: 'waiting' }
  | { readonly type: 'sending'; readonly safeBytes: number }
  | { readonly type: 'reconnecting'; readonly safeBytes: number; readonly retryAt: number }
  | { readonly type: 'done' }
  | { readonly type: 'failed'; readonly error: unknown };

/**
 * A file that is appended to a resource of its name. It goes on where an upload of it has broken off, be that years ago;
 * what is another file is left alone.
 */
export class Upload {
  readonly file: File;
  readonly #url: URL;
  readonly #onChange: () => void;
  readonly #abort = new AbortController();
  #state: UploadState = { type: 'waiting' };

  constructor(url: URL, file: File, onChange: () => void) {
    this.#url = url;
    this.file = file;
    this.#onChange = onChange;
  }

  get state(): UploadState {
    return this.#state;
  }

  get isOver(): boolean {
    return this.#state.type === 'done' || this.#state.type === 'failed';
  }

  /** Resolves when it is over, in whatever way. */
  async run(): Promise<void> {
    try {
      await this.#goOn().catch((error) => {
        if (!(error instanceof ConnectionError)) throw error;
        // The server may have gone since it was asked: then that waits for it.
        return this.#goOn();
      });
      this.#enter({ type: 'done' });
    } catch (error) {
      this.#enter({ type: 'failed', error });
    }
  }

  /** Gives up. What has come stays, and another upload of the file goes on there. */
  cancel(): void {
    const error = new Error('given up');
    this.#abort.abort(error);
    this.#enter({ type: 'failed', error });
  }

  async #goOn(): Promise<void> {
    const start = await this.#knownBeginning();
    this.#enter({ type: 'sending', safeBytes: start });
    if (start < this.file.size || start === 0) await this.#send(start);
  }

  async #send(start: number): Promise<void> {
    let safeBytes = start;
    await append(this.#url, this.file.slice(start, this.file.size, this.file.type), {
      expect: start,
      token: tabToken(),
      signal: this.#abort.signal,
      retry: RETRY,
      onAck: (bytes) => {
        safeBytes = start + bytes;
        this.#enter({ type: 'sending', safeBytes });
      },
      onState: (state) => this.#onState(state, safeBytes),
    });
  }

  #onState(state: AppendState, safeBytes: number): void {
    if (state.type === 'reconnecting') {
      this.#enter({ type: 'reconnecting', safeBytes, retryAt: state.retryAt });
    } else if (state.type === 'open') this.#enter({ type: 'sending', safeBytes });
  }

  /** How much of the file is there already, as soon as the server can be reached. */
  async #knownBeginning(): Promise<number> {
    const backoff = new Backoff(RETRY);
    for (;;) {
      this.#abort.signal.throwIfAborted();
      try {
        return await this.#beginning();
      } catch (error) {
        const delayMs = backoff.next();
        // So `fetch` says that nothing answers, or that the answer broke off.
        if (!(error instanceof TypeError) || delayMs === undefined) throw error;
        this.#enter({ type: 'reconnecting', safeBytes: 0, retryAt: Date.now() + delayMs });
        await new Promise((resolve) => setTimeout(resolve, delayMs));
      }
    }
  }

  async #beginning(): Promise<number> {
    const { signal } = this.#abort;
    const head = await fetchWithToken(this.#raw(), { method: 'HEAD', signal });
    if (head.status === 404) return 0;
    if (!head.ok) throw new Error(`the server answers ${head.status}`);
    const size = Number(head.headers.get('content-length'));
    if (size === 0) return 0;
    const isBeginning =
      size <= this.file.size &&
      (await this.#isThere(0, Math.min(size, COMPARED_BYTES))) &&
      (await this.#isThere(Math.max(0, size - COMPARED_BYTES), size));
    if (!isBeginning) throw new Error('another file of this name is there');
    return size;
  }

  /** Whether the bytes of the file from one position to another are those that are there. */
  async #isThere(start: number, end: number): Promise<boolean> {
    const range = `bytes=${start}-${end - 1}`;
    const there = await fetchWithToken(this.#raw(), { headers: { range }, signal: this.#abort.signal });
    return there.ok && areEqual(await there.arrayBuffer(), await this.file.slice(start, end).arrayBuffer());
  }

  #raw(): string {
    const url = new URL(this.#url);
    url.searchParams.set(RAW_QUERY, '');
    return url.href;
  }

  #enter(state: UploadState): void {
    if (this.isOver) return;
    this.#state = state;
    this.#onChange();
  }
}

function areEqual(one: ArrayBuffer, other: ArrayBuffer): boolean {
  const [bytes, others] = [new Uint8Array(one), new Uint8Array(other)];
  return bytes.length === others.length && bytes.every((byte, index) => byte === others[index]);
}
