import type { IncomingMessage } from 'node:http';
import { type Readable, Transform, type TransformCallback } from 'node:stream';
import { bodyEndOf } from '../../client/follow/body-end.ts';
import { ConnectionError, UnexpectedStatusError } from '../../wire/errors.ts';
import { type ClientLog, PRESUMED_END } from '../client-log.ts';
import {
  type Answer,
  contentLengthOf,
  contentRangeOf,
  type RequestOptions,
  request,
} from '../http-request.ts';
import type { ByteSource } from './local-source.ts';
import { remoteFileName } from './remote-file-name.ts';

const PARTIAL_CONTENT = 206;

/**
 * What GET of a URL answers. The request is sent now, so that nothing is
 * appended when it fails.
 *
 * @param ownHeaders for that server, and no other
 * @throws {UnexpectedStatusError} unless the status is 2xx, and the errors of {@link request}
 */
export async function remoteSource(
  url: string,
  ownHeaders: Readonly<Record<string, string>>,
  log: ClientLog,
): Promise<ByteSource> {
  const get = (headers: Record<string, string>) => answerTo(url, { method: 'GET', headers, ownHeaders });
  const answer = await get({});
  const { response } = answer;
  if (answer.status === PARTIAL_CONTENT) {
    response.destroy();
    throw new UnexpectedStatusError(answer.status, 'the answer is a part, and nobody asked for one');
  }
  // It may break before it is read.
  response.on('error', () => {});
  const size = contentLengthOf(response);
  return {
    size,
    fileName: remoteFileName(answer.url, response.headers['content-disposition'] ?? null),
    canSeek: true,
    mayEndAnywhere: false,
    async open(position) {
      if (position === 0) return new Body(response, 0, log);
      response.destroy();
      return openAt(await get({ range: `bytes=${position}-` }), position, size, log);
    },
    close: () => response.destroy(),
  };
}

function openAt(
  { status, response }: Answer,
  position: number,
  size: number | undefined,
  log: ClientLog,
): Readable {
  if (status !== PARTIAL_CONTENT) return new Body(response, position, log);
  const { start, end, total = size } = contentRangeOf(response);
  const hasOtherSize = size !== undefined && total !== size;
  // A server may send less than was requested (RFC 9110, section 15.3.7).
  const isCut = total === undefined || end !== total - 1;
  if (start !== position || hasOtherSize || isCut) {
    response.destroy();
    throw new UnexpectedStatusError(
      status,
      `the answer is not the whole range from byte ${position} on: ${response.headers['content-range'] ?? ''}`,
    );
  }
  return new Body(response, 0, log);
}

async function answerTo(url: string, options: RequestOptions): Promise<Answer> {
  const answer = await request(url, options);
  if (answer.status >= 200 && answer.status < 300) return answer;
  answer.response.destroy();
  throw new UnexpectedStatusError(answer.status);
}

/** The body of an answer, without its first bytes. Fails if it is incomplete. */
class Body extends Transform {
  readonly #response: IncomingMessage;
  readonly #size: number | undefined;
  readonly #log: ClientLog;
  #receivedBytes = 0;
  #skipBytes: number;

  constructor(response: IncomingMessage, skipBytes: number, log: ClientLog) {
    super();
    this.#response = response;
    this.#size = contentLengthOf(response);
    this.#log = log;
    this.#skipBytes = skipBytes;
    response.once('error', (cause) => this.destroy(this.#brokenOff(cause)));
    this.once('close', () => response.destroy());
    if (response.destroyed) this.destroy(this.#brokenOff(response.errored ?? undefined));
    else response.pipe(this);
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, callback: TransformCallback): void {
    this.#receivedBytes += chunk.length;
    const skipped = Math.min(this.#skipBytes, chunk.length);
    this.#skipBytes -= skipped;
    if (skipped < chunk.length) this.push(chunk.subarray(skipped));
    callback();
  }

  override _flush(callback: TransformCallback): void {
    const end = bodyEndOf(this.#response);
    const isCut = this.#size !== undefined && this.#receivedBytes !== this.#size;
    if (isCut || end === 'unknown') {
      callback(this.#brokenOff(undefined));
    } else if (this.#skipBytes > 0) {
      callback(new ConnectionError('the body ends before what is already there'));
    } else {
      if (end === 'presumed') this.#log.verbose(PRESUMED_END);
      callback();
    }
  }

  #brokenOff(cause: Error | undefined): ConnectionError {
    const size = this.#size === undefined ? '' : ` of ${this.#size}`;
    return new ConnectionError(`the body broke off after ${this.#receivedBytes}${size} bytes`, { cause });
  }
}
