import { once } from 'node:events';
import { follow } from '../../client/follow/follow.ts';
import type { FollowEnding, FollowOptions, FollowStream } from '../../client/follow/follow-options.ts';
import { type ClientLog, ConnectionNews, PRESUMED_END, RETRY } from '../client-command.ts';
import type { FileBeginning } from './file-beginning.ts';
import type { FollowOutput } from './follow-output.ts';

/** What {@link FollowPass} is given by those who run it. */
export interface FollowPassOptions extends ClientLog {
  output: FollowOutput;
  /** What the output has already. */
  beginning: FileBeginning | undefined;
  /** For the server. */
  headers: Readonly<Record<string, string>>;
  signal: AbortSignal;
  /** Called when the server has accepted. */
  onOpen: () => void;
}

/** Where a pass begins, and for how long it waits for that. */
export interface PassStart extends FollowOptions {
  /** How many lines are left out, from there on. Default 0. */
  skipLines?: number;
}

/** One time that a resource is followed until its end. */
export class FollowPass {
  readonly #url: string;
  readonly #options: FollowPassOptions;
  #isOpen = false;
  #wasLive = false;
  #bytes = 0;
  #position = 0;
  #generation: number | undefined;
  #reason: string | undefined;
  #status: number | undefined;
  #ending: FollowEnding = {};

  constructor(url: string, options: FollowPassOptions) {
    this.#url = url;
    this.#options = options;
  }

  /** Whether the server has accepted. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Whether somebody appended when the server accepted. */
  get wasLive(): boolean {
    return this.#wasLive;
  }

  /** How many bytes were written. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Position after the last byte that was written. */
  get position(): number {
    return this.#position;
  }

  /** Which file it was, if the server tells. */
  get generation(): number | undefined {
    return this.#generation;
  }

  /** Why the stream ended, if the server told. */
  get reason(): string | undefined {
    return this.#reason;
  }

  /** Exit status of the command that wrote the stream, if that was told. */
  get status(): number | undefined {
    return this.#status;
  }

  /** What else the server told of the end. */
  get ending(): FollowEnding {
    return this.#ending;
  }

  /**
   * Copies from where `start` says to the end of the stream.
   *
   * @throws what {@link follow} errors with; what {@link FileBeginning.confirm} throws; the signal's reason; what
   *   the output throws
   */
  async run({ skipLines = 0, ...start }: PassStart): Promise<void> {
    const { output, headers, signal, logVerbose, onOpen } = this.#options;
    const url = this.#url;
    const news = new ConnectionNews(this.#options, `${url}: `);
    const readable = follow(url, {
      ...start,
      headers,
      signal,
      retry: RETRY,
      onReconnect: (event) => news.lost(event),
      onReconnected: () => news.again(),
    });
    readable.once('open', ({ generation, position, live }) => {
      this.#isOpen = true;
      this.#wasLive = live === true;
      this.#generation = generation;
      this.#position = position;
      onOpen();
    });
    readable.on('waiting', () => {
      logVerbose(this.#isOpen ? `${url}: waiting for the appender` : `${url}: waiting for the file`);
    });
    readable.on('live', () => logVerbose(`${url}: live`));
    try {
      await this.#confirmBeginning(readable);
      let linesToSkip = skipLines;
      for await (const chunk of readable as AsyncIterable<Buffer>) {
        let at = 0;
        for (; linesToSkip > 0 && at < chunk.length; linesToSkip--) {
          const end = chunk.indexOf('\n', at);
          at = end === -1 ? chunk.length : end + 1;
          if (end === -1) break;
        }
        const wanted = chunk.subarray(at);
        if (wanted.length > 0) await output.write(wanted, url);
        this.#bytes += wanted.length;
        // Not the readable's, which is ahead by what it holds.
        this.#position += chunk.length;
      }
      if (readable.ending.presumed) logVerbose(`${url}: ${PRESUMED_END}`);
    } finally {
      this.#reason = readable.reason;
      this.#status = readable.status;
      this.#ending = readable.ending;
    }
  }

  /** Nothing is written behind what is not the beginning of the same. */
  async #confirmBeginning(readable: FollowStream): Promise<void> {
    const { beginning, headers, signal } = this.#options;
    if (beginning === undefined) return;
    // What goes wrong meanwhile is told to who reads.
    readable.on('error', () => {});
    await once(readable, 'open');
    try {
      await beginning.confirm(this.#url, { headers, signal });
    } catch (error) {
      readable.destroy();
      signal.throwIfAborted();
      throw error;
    }
  }
}
