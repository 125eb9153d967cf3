import type { Readable } from 'node:stream';
import { isCoded } from '../../http/answer/tap.ts';
import { answerLength, openSource } from '../../http/body/body.ts';
import type { Source } from '../../http/body/source.ts';
import { SourceReadable } from '../../http/node/readable.ts';
import { isContentType } from '../../wire/content-type.ts';
import { ConnectionError, UnframedAnswerError } from '../../wire/errors.ts';

export interface AnswerOptions {
  /** How many bytes to leave out at the beginning. */
  skipBytes: number;
  /** Whether an answer that ends only with its connection is taken for a whole one. */
  allowUnframed: boolean;
  /** How many bytes it has, if something else than its `Content-Length` says so. */
  size?: number;
}

/**
 * The body of an answer as a Node stream. It ends only when all of the body has come, and fails with
 * {@link ConnectionError} when it breaks off, {@link UnframedAnswerError} when nobody can know, and what
 * else its reader is told, the reason of an abort for example. Destroying it cancels the body.
 *
 * @throws {InvalidSourceError} when somebody else reads it, or has done so
 */
export function wholeAnswer(response: Response, options: AnswerOptions): Readable {
  return new SourceReadable(new AnswerSource(response, options));
}

/** What servers say of what they know nothing of. */
const UNKNOWN_TYPE = /^(?:application|binary)\/octet-stream\s*(?:;|$)/i;

/** The content type of the bytes of an answer, if it has one: not that of what they are coded from. */
export function typeOfAnswer(response: Response): string | undefined {
  const type = isCoded(response) ? null : response.headers.get('content-type');
  return isContentType(type) && !UNKNOWN_TYPE.test(type) ? type : undefined;
}

/** Whether an answer says where it ends, or was made in this process, whose streams do. */
function isFramed({ body, url, headers }: Response): boolean {
  if (body === null || url === '' || headers.has('content-length')) return true;
  return /(?:^|,)\s*chunked\s*$/i.test(headers.get('transfer-encoding') ?? '');
}

/** The same as a source. */
export class AnswerSource implements Source {
  readonly #source: Source;
  readonly #isFramed: boolean;
  /** Undefined when it is not known; of no use when there is no body. */
  readonly #size: number | undefined;
  #receivedBytes = 0;
  #skipBytes: number;

  constructor(response: Response, { skipBytes, allowUnframed, size }: AnswerOptions) {
    this.#source = openSource(response);
    this.#isFramed = allowUnframed || isFramed(response);
    this.#size = size ?? (response.body === null ? undefined : answerLength(response));
    this.#skipBytes = skipBytes;
  }

  async next(): Promise<Uint8Array | undefined> {
    for (;;) {
      const chunk = await this.#read();
      if (chunk === undefined) {
        this.#assertWhole();
        return undefined;
      }
      const wanted = chunk.subarray(this.#skipBytes);
      this.#skipBytes -= chunk.length - wanted.length;
      if (wanted.length > 0) return wanted;
    }
  }

  end(reason: unknown): void {
    this.#source.end(reason);
  }

  async #read(): Promise<Uint8Array | undefined> {
    try {
      const chunk = await this.#source.next();
      this.#receivedBytes += chunk?.length ?? 0;
      return chunk;
    } catch (error) {
      // Platforms have this one for a connection that breaks.
      if (error instanceof ConnectionError || error instanceof TypeError) throw this.#brokenOff(error);
      throw error;
    }
  }

  #assertWhole(): void {
    if (this.#size !== undefined && this.#receivedBytes !== this.#size) throw this.#brokenOff(undefined);
    if (!this.#isFramed) {
      throw new UnframedAnswerError(
        `only the end of the connection says that the body is over: nobody knows whether its ${this.#receivedBytes} bytes are all of it`,
      );
    }
    if (this.#skipBytes > 0) throw new ConnectionError('the body ends before what is already there');
  }

  #brokenOff(cause: Error | undefined): ConnectionError {
    const size = this.#size === undefined ? '' : ` of ${this.#size}`;
    return new ConnectionError(`the body broke off after ${this.#receivedBytes}${size} bytes`, { cause });
  }
}
