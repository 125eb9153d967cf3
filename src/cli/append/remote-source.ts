import type { IncomingMessage } from 'node:http';
import { type Readable, Transform, type TransformCallback } from 'node:stream';
import { bodyEndOf } from '../../client/follow/body-end.ts';
import { ConnectionError, UnexpectedStatusError } from '../../wire/errors.ts';
import { type ClientLog, PRESUMED_END } from '../client-command.ts';
import { type Answer, contentLengthOf, type RequestOptions, request } from '../http-request.ts';
import type { AppendSource } from './append-source.ts';
import { remoteFileName } from './remote-file-name.ts';

type VerboseLog = ClientLog['logVerbose'];

/**
 * What GET of a URL answers. The request is made here, so that nothing is
 * appended when it fails.
 *
 * @param ownHeaders for the server there, and no other
 * @param log is told of an end that is only presumed
 * @throws {UnexpectedStatusError} unless the status is 2xx, and what {@link request} throws
 */
export async function remoteSource(
  url: string,
  ownHeaders: Readonly<Record<string, string>>,
  log: VerboseLog,
): Promise<AppendSource> {
  const get = (headers: Record<string, string>) => answerTo(url, { method: 'GET', headers, ownHeaders });
  const answer = await get({});
  const { response } = answer;
  if (answer.status === PARTIAL_CONTENT) {
    response.destroy();
    throw new UnexpectedStatusError(answer.status, 'the answer is a part, and nobody asked for one');
  }
  // It may break off before anybody reads it.
  response.on('error', () => {});
  const size = contentLengthOf(response);
  return {
    size,
    fileName: remoteFileName(answer.url, response.headers['content-disposition']),
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
  log: VerboseLog,
): Readable {
  if (status !== PARTIAL_CONTENT) return new Body(response, position, log);
  const range = response.headers['content-range'] ?? '';
  const { start, end, total } = CONTENT_RANGE.exec(range)?.groups ?? {};
  const wanted = total === '*' ? size : Number(total);
  const hasOtherSize = size !== undefined && wanted !== size;
  // A server may give less than it is asked for (RFC 9110, section 15.3.7).
  const isCut = wanted === undefined || Number(end) !== wanted - 1;
  if (Number(start) !== position || hasOtherSize || isCut) {
    response.destroy();
    throw new UnexpectedStatusError(
      status,
      `the answer is not the whole range from byte ${position} on: ${range}`,
    );
  }
  return new Body(response, 0, log);
}

const PARTIAL_CONTENT = 206;

const CONTENT_RANGE = /^bytes (?<start>\d+)-(?<end>\d+)\/(?<total>\d+|\*)$/;

async function answerTo(url: string, options: RequestOptions): Promise<Answer> {
  const answer = await request(url, options);
  if (answer.status >= 200 && answer.status < 300) return answer;
  answer.response.destroy();
  throw new UnexpectedStatusError(answer.status);
}

/** The body of an answer, without its first bytes. Errors unless it is whole. */
class Body extends Transform {
  readonly #response: IncomingMessage;
  readonly #size: number | undefined;
  readonly #log: VerboseLog;
  #receivedBytes = 0;
  #skipBytes: number;

  constructor(response: IncomingMessage, skipBytes: number, log: VerboseLog) {
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
      if (end === 'presumed') this.#log(PRESUMED_END);
      callback();
    }
  }

  #brokenOff(cause: Error | undefined): ConnectionError {
    const size = this.#size === undefined ? '' : ` of ${this.#size}`;
    return new ConnectionError(`the body broke off after ${this.#receivedBytes}${size} bytes`, { cause });
  }
}
