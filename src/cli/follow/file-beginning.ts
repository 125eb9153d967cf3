import { open } from 'node:fs/promises';
import { refusalOf } from '../../client/refusal.ts';
import { ConnectionError, ResourceGoneError, UnexpectedStatusError } from '../../wire/errors.ts';
import { type RequestOptions, request } from '../http-request.ts';

/** How much is compared at the beginning of the file, and as much at its end. */
const COMPARED_BYTES = 64 * 1024;

/** Time for the bytes to come. */
const BODY_TIMEOUT_MS = 30_000;

/** What a server answers that knows no ranges, or not this method, or has no such range. */
const NOT_TOLD: readonly number[] = [200, 405, 416, 501];

/** How a server is asked. */
type Asking = Required<Pick<RequestOptions, 'headers' | 'signal'>>;

/** Which bytes of a resource are wanted, and how long they may take. */
interface Wanted {
  start: number;
  length: number;
  timeoutMs: number;
}

/** A local file that holds the first bytes of a resource, as far as is known. */
export class FileBeginning {
  readonly #path: string;
  readonly #size: number;
  readonly #bodyTimeoutMs: number;
  #isConfirmed = false;

  /**
   * @param size how many bytes of the file are meant; not 0
   * @param bodyTimeoutMs time for what is compared to come
   */
  constructor(path: string, size: number, bodyTimeoutMs = BODY_TIMEOUT_MS) {
    this.#path = path;
    this.#size = size;
    this.#bodyTimeoutMs = bodyTimeoutMs;
  }

  /**
   * Compares it with the resource, at both ends: a file that was made anew begins with
   * another date, or is another one by then. What a server cannot tell counts as the same.
   * Once confirmed, it is.
   *
   * @param options.headers for the server
   * @throws {ResourceGoneError} when the resource begins with other bytes
   * @throws what {@link request} and {@link refusalOf} make of another answer, and the system
   */
  async confirm(url: string, options: Asking): Promise<void> {
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

/** Some bytes of a resource, and more when there are more; undefined when the server cannot give a part of it. */
async function remoteBytes(
  url: string,
  { headers: ownHeaders, signal }: Asking,
  { start, length, timeoutMs }: Wanted,
): Promise<Buffer | undefined> {
  const end = start + length - 1;
  const headers = { range: `bytes=${start}-${end}` };
  const { status, response } = await request(url, { method: 'GET', headers, ownHeaders, signal });
  if (NOT_TOLD.includes(status)) {
    response.destroy();
    return undefined;
  }
  if (status !== 206) throw await refusalOf(response);
  const range = response.headers['content-range'] ?? '';
  if (!range.startsWith(`bytes ${start}-${end}/`)) {
    response.destroy();
    if (isCutShort(range, start, end)) return undefined;
    throw new UnexpectedStatusError(status, `the answer is not the range ${start}-${end}: ${range}`);
  }
  const deadline = setTimeout(() => response.destroy(), timeoutMs);
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of response) {
      chunks.push(chunk);
      bytes += chunk.length;
      // However much a server may have to say.
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

/** Whether a range ends before `end` because the resource does, of which its follower is told. */
function isCutShort(range: string, start: number, end: number): boolean {
  const [from, last, total] = (/^bytes (\d+)-(\d+)\/(\d+)$/.exec(range) ?? []).slice(1).map(Number);
  return from === start && last !== undefined && last < end && total === last + 1;
}
