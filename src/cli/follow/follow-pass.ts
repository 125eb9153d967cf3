import { once } from 'node:events';
import { follow } from '../../client/follow/follow.ts';
import type { FollowOptions, FollowStream } from '../../client/follow/follow-options.ts';
import type { FollowEnding } from '../../client/session/follow-request.ts';
import type { ClientSettings } from '../client-command.ts';
import { RETRY, ReconnectLog } from '../client-log.ts';
import type { FileBeginning } from './file-beginning.ts';
import type { FollowOutput } from './follow-output.ts';

/** What is logged with `-v` when only the end of the connection says that a body is complete. */
const PRESUMED_END = 'the server has closed the connection: in HTTP/1.0 that is the end, be it or not';

export interface FollowPassOptions extends ClientSettings {
  output: FollowOutput;
  /** What the output has already. */
  beginning: FileBeginning | undefined;
  signal: AbortSignal;
  /** Called when the server has accepted. */
  onOpen: () => void;
}

/** Where a pass begins, and how long it waits for the resource. */
export interface PassStart extends FollowOptions {
  /** How many lines to leave out from there. Default 0. */
  skipLines?: number;
}

/** Follows a resource once, to the end of its stream. */
export class FollowPass {
  readonly #url: string;
  readonly #options: FollowPassOptions;
  #readable: FollowStream | undefined;
  #isOpen = false;
  #wasLive = false;
  #bytes = 0;
  #position = 0;

  constructor(url: string, options: FollowPassOptions) {
    this.#url = url;
    this.#options = options;
  }

  /** Whether the server has accepted. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Whether an appender was connected when the server accepted. */
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

  get generation(): number | undefined {
    return this.#readable?.generation;
  }

  /** Why the stream ended, if the server has said. */
  get reason(): string | undefined {
    return this.#readable?.reason;
  }

  /** Exit status of the command that wrote the stream, if it is known. */
  get status(): number | undefined {
    return this.#readable?.status;
  }

  /** What else is known of the end. */
  get ending(): FollowEnding {
    return this.#readable?.ending ?? {};
  }

  /**
   * Copies from where `start` says to the end of the stream.
   *
   * @throws the errors of {@link follow} and {@link FileBeginning.confirm}; the signal's reason; the output's error
   */
  async run({ skipLines = 0, ...start }: PassStart): Promise<void> {
    const { output, log } = this.#options;
    const url = this.#url;
    const readable = this.#follow(start);
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
      // Not the readable's position, which counts what is not written yet.
      this.#position += chunk.length;
    }
    if (readable.ending.presumed) log.verbose(`${url}: ${PRESUMED_END}`);
  }

  #follow(start: FollowOptions): FollowStream {
    const { headers, token, signal, log, onOpen } = this.#options;
    const url = this.#url;
    const reconnectLog = new ReconnectLog(log, `${url}: `);
    const readable = follow(url, {
      ...start,
      headers,
      token,
      signal,
      retry: RETRY,
      onReconnect: (event) => reconnectLog.lost(event),
      onReconnected: () => reconnectLog.reconnected(),
    });
    this.#readable = readable;
    readable.once('open', ({ position, live }) => {
      this.#isOpen = true;
      this.#wasLive = live === true;
      this.#position = position;
      onOpen();
    });
    readable.on('waiting', () => {
      log.verbose(this.#isOpen ? `${url}: waiting for the appender` : `${url}: waiting for the file`);
    });
    readable.on('live', () => log.verbose(`${url}: live`));
    return readable;
  }

  /** Makes sure that nothing is written after the beginning of something else. */
  async #confirmBeginning(readable: FollowStream): Promise<void> {
    const { beginning, headers, token, signal } = this.#options;
    if (beginning === undefined) return;
    // An error in the meantime is not lost: reading throws it.
    readable.on('error', () => {});
    await once(readable, 'open');
    try {
      await beginning.confirm(this.#url, { headers, token, signal });
    } catch (error) {
      readable.destroy();
      signal.throwIfAborted();
      throw error;
    }
  }
}
