import { connectWith } from '../../browser/page-connection.ts';
import { NoWebSocketError } from '../../browser/refused-handshake.ts';
import type { Connection, ConnectionEnd, Refusal } from '../../client/session/connection.ts';
import { Reconnector } from '../../client/session/reconnector.ts';
import { ConnectionLostError, type HttpfstreamError } from '../../wire/errors.ts';
import { CloseCode, type ControlMessage } from '../../wire/protocol.ts';
import { isPassing, RETRY } from '../state/retry.ts';
import type { StreamState } from '../state/stream-state.ts';
import { tabToken } from '../token/tab-token.ts';
import type { DirectoryEntry } from './directory-entry.ts';
import { entryOf, LIST_URL } from './listing.ts';

/** Statuses of a server that wants a token, or another one. */
const LOCKED: readonly number[] = [401, 403];

const NOT_FOUND = 404;

/** What is told of a directory. */
export interface DirectoryFollowEvents {
  /** The list is to be read, for the first time or anew, until it is there or refused. Resolves to whether it is there. */
  list(): Promise<boolean>;
  /** What is at a name by now; undefined: nothing. */
  changed(name: string, entry: DirectoryEntry | undefined): void;
  /** It is in another state. */
  stateChanged(state: StreamState): void;
}

/** What changes in a directory, over one connection at a time. After one that broke the list is to be read anew. */
export class DirectoryFollow {
  readonly #url: URL;
  readonly #events: DirectoryFollowEvents;
  #reconnector: Reconnector | undefined;
  #connection: Connection | undefined;
  /** What is told while it is not there: it is waited for. */
  #absence: StreamState | undefined;
  /** Whether the last answer was a refusal for another reason than rights, or that nothing is there. */
  #isRefused = false;

  /** Does nothing before `start`. */
  constructor(url: URL, events: DirectoryFollowEvents) {
    this.#url = new URL(LIST_URL, url);
    this.#events = events;
  }

  /** Follows it, also after an end. */
  start(): void {
    this.#reconnector?.cancel();
    this.#connection?.abandon();
    this.#reconnector = new Reconnector(
      {
        retry: RETRY,
        onReconnect: ({ delayMs }) => this.#enter({ kind: 'reconnecting', at: Date.now() + delayMs }),
      },
      (error) => this.#enter({ kind: 'failed', detail: error.message }),
    );
    this.#enter({ kind: 'connecting' });
    this.#connect();
  }

  /** Connects now, and not when the wait for the next attempt is over. */
  reconnect(): void {
    this.#reconnector?.hurry();
  }

  #connect(): void {
    try {
      this.#connection = connectWith(tabToken())(this.#url, 'FOLLOW', {
        onOpen: () => this.#reconnector?.opened(),
        onRefused: (refusal) => this.#onRefused(refusal),
        // A file is at the path by now: its page is another one.
        onPayload: () => location.reload(),
        onMessage: (message) => this.#onMessage(message),
        onEnd: (end) => this.#onEnd(end),
      });
    } catch {
      // A token with characters that no token has.
      this.#enter({ kind: 'locked', refused: true });
    }
  }

  #onMessage(message: ControlMessage): void {
    switch (message.type) {
      case 'list':
        this.#reconnector?.progressed();
        this.#absence = undefined;
        this.#isRefused = false;
        this.#enter({ kind: 'watching' });
        void this.#events.list();
        break;
      case 'entry': {
        const entry = entryOf(message.row);
        this.#events.changed(entry.name, entry);
        break;
      }
      case 'gone':
        this.#events.changed(message.name, undefined);
        break;
      case 'end':
        if (message.reason === 'deleted') this.#absence = { kind: 'ended', reason: 'deleted' };
    }
  }

  #onRefused({ status, error }: Refusal): void {
    const passes = isPassing(status);
    if (LOCKED.includes(status)) {
      this.#enter({ kind: 'locked', refused: tabToken() !== undefined });
    } else if (status === NOT_FOUND) {
      this.#retry(error);
      this.#absence ??= { kind: 'missing' };
      this.#enter(this.#absence);
    } else if (passes || !this.#isRefused) {
      // Why a handshake failed is asked afterwards. A server that has come meanwhile refuses the question itself.
      this.#isRefused = !passes;
      this.#retry(error);
    } else {
      void this.#listOnly(error);
    }
  }

  /** It may be possible to list it, though nobody tells what changes. */
  async #listOnly({ message }: HttpfstreamError): Promise<void> {
    const reconnector = this.#reconnector;
    const isListed = await this.#events.list();
    // It may have been started anew meanwhile.
    if (reconnector !== this.#reconnector) return;
    this.#enter(isListed ? { kind: 'listed' } : { kind: 'failed', detail: message });
  }

  #onEnd({ code, error }: ConnectionEnd): void {
    if (code === CloseCode.unauthorized || code === CloseCode.forbidden) {
      this.#enter({ kind: 'locked', refused: tabToken() !== undefined });
    } else if (error instanceof NoWebSocketError && this.#isRefused) {
      void this.#listOnly(error);
    } else {
      this.#isRefused = error instanceof NoWebSocketError;
      this.#retry(new ConnectionLostError('the connection broke', { cause: error }));
      // It may be made again.
      if (this.#absence !== undefined && code !== CloseCode.abnormal) this.#enter(this.#absence);
    }
  }

  #retry(error: HttpfstreamError): void {
    this.#reconnector?.schedule(error, () => {
      if (this.#absence === undefined) this.#enter({ kind: 'reconnecting' });
      this.#connect();
    });
  }

  #enter(state: StreamState): void {
    this.#events.stateChanged(state);
  }
}
