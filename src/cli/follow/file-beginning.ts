import { open } from 'node:fs/promises';
import { refusalOf } from '../../client/refusal.ts';
import { readable } from '../../http/index.node.ts';
import { ConnectionError, ResourceGoneError, UnexpectedStatusError } from '../../wire/errors.ts';
import type { Credentials } from '../credentials.ts';
import { contentRangeOf, discard, type RequestOptions, requestResource } from '../resource-request.ts';

/** How much is compared at each end of the file. */
const COMPARED_BYTES = 64 * 1024;

/** Time limit for the bytes to arrive. */
const BODY_TIMEOUT_MS = 30_000;

/** Answers of a server without ranges, without this method, or without this range. */
const NO_RANGE: readonly number[] = [200, 405, 416, 501];

type ConfirmOptions = Credentials & Required<Pick<RequestOptions, 'signal'>>;

/** A range of a resource, and the time limit for its bytes. */
interface RangeRequest {
  start: number;
  length: number;
  timeoutMs: number;
}

/** A local file that is supposed to contain the first bytes of a resource. */
export class FileBeginning {
  readonly #path: string;
  readonly #size: number;
  readonly #bodyTimeoutMs: number;
  #isConfirmed = false;

  /**
   * @param size how many bytes of the file; not 0
   * @param bodyTimeoutMs time limit for the bytes to arrive
   */
  constructor(path: string, size: number, bodyTimeoutMs = BODY_TIMEOUT_MS) {
    this.#path = path;
    this.#size = size;
    this.#bodyTimeoutMs = bodyTimeoutMs;
  }

  /**
   * Compares it with the resource, at both ends: a log that was replaced begins with
   * another date, or differs by then. What a server cannot tell counts as equal.
   * Does nothing once it is confirmed.
   *
   * @param options what the server is sent
   * @throws {ResourceGoneError} when the resource begins with other bytes
   * @throws the errors of {@link requestResource} and {@link refusalOf}, and the system's
   */
  async confirm(url: string, options: ConfirmOptions): Promise<void> {
    if (this.#isConfirmed) return;
    const end = Math.max(0, this.#size - COMPARED_BYTES);
    for (const start of new Set([0, end])) {
      const ours = await this.#read(start, Math.min(COMPARED_BYTES, this.#size - start));
      const wanted = { start, length: ours.length, timeoutMs: this.#bodyTimeoutMs };
      const theirs = await remoteBytes(url, options, wanted);
      if (theirs === undefined || theirs.equals(ours)) continue;
      throw new ResourceGoneError(
        `${this.#path} is not the beginning of it: it was made anew, or is something else`,
      );
    }
    this.#isConfirmed = true;
  }

  async #read(start: number, length: number): Promise<Buffer> {
    const file = await open(this.#path);
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, start);
      return buffer.subarray(0, bytesRead);
    } finally {
      await file.close();
    }
  }
}

/** Reads a range of a resource, or more if the server sends more; undefined when the server cannot send a part. */
async function remoteBytes(
  url: string,
  { headers, ...options }: ConfirmOptions,
  { start, length, timeoutMs }: RangeRequest,
): Promise<Buffer | undefined> {
  const end = start + length - 1;
  const wanted = { ...headers, range: `bytes=${start}-${end}` };
  const response = await requestResource(url, { ...options, method: 'GET', headers: wanted });
  const { status } = response;
  if (NO_RANGE.includes(status)) {
    await discard(response);
    return undefined;
  }
  if (status !== 206) throw await refusalOf(response);
  const range = contentRangeOf(response.headers);
  if (range.start !== start || range.end !== end) {
    await discard(response);
    // The resource ends before the range: the server tells followers that it was cut.
    if (range.start === start && range.end !== undefined && range.end < end && range.total === range.end + 1)
      return undefined;
    const text = response.headers.get('content-range') ?? '';
    throw new UnexpectedStatusError(status, `the answer is not the range ${start}-${end}: ${text}`);
  }
  const body = readable(response);
  const deadline = setTimeout(() => body.destroy(), timeoutMs);
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of body) {
      chunks.push(chunk);
      bytes += chunk.length;
      // Not all of it if the server sends more.
      if (bytes > length) break;
    }
  } catch (cause) {
    throw new ConnectionError('the beginning of the resource did not come', { cause });
  } finally {
    clearTimeout(deadline);
  }
  if (bytes < length) throw new ConnectionError('the beginning of the resource broke off');
  return Buffer.concat(chunks);
}
