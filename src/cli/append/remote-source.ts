import type { Readable } from 'node:stream';
import { AnswerSource, typeOfAnswer, wholeAnswer } from '../../client/append/answer-source.ts';
import { declaredLength } from '../../http/body/body.ts';
import type { Source } from '../../http/body/source.ts';
import { SourceReadable } from '../../http/node/readable.ts';
import { UnexpectedStatusError } from '../../wire/errors.ts';
import { contentRangeOf, discard, type RequestOptions, requestResource } from '../resource-request.ts';
import type { ByteSource } from './local-source.ts';
import { remoteFileName } from './remote-file-name.ts';

const PARTIAL_CONTENT = 206;

/** What is asked for, and what is taken for an answer. */
export interface RemoteRequest extends Omit<RequestOptions, 'signal'> {
  url: string;
  /** Whether an answer that ends only with its connection is taken for a whole one. */
  allowUnframed: boolean;
}

/**
 * What a URL answers. The request is sent now, so that nothing is
 * appended when it fails.
 *
 * @throws {UnexpectedStatusError} unless the status is 2xx, and the errors of {@link requestResource}
 */
export async function remoteSource(request: RemoteRequest): Promise<ByteSource> {
  const { allowUnframed } = request;
  const response = await wholeAnswerTo(request);
  const size = declaredLength(response.headers);
  return {
    size,
    contentType: typeOfAnswer(response),
    fileName: remoteFileName(new URL(response.url), response.headers.get('content-disposition')),
    canSeek: request.method === 'GET',
    mayEndAnywhere: false,
    async open(position) {
      if (position === 0) return wholeAnswer(response, { skipBytes: 0, allowUnframed });
      await discard(response);
      const headers = { ...request.headers, range: `bytes=${position}-` };
      return openAt(await answerTo({ ...request, headers }), position, size, allowUnframed);
    },
    close: () => void discard(response),
  };
}

/** The same, but the request is sent when somebody begins to read. */
export function laterSource(request: RemoteRequest): ByteSource {
  const answer = new LaterAnswer(request);
  return {
    size: undefined,
    get contentType() {
      return answer.contentType;
    },
    fileName: undefined,
    canSeek: false,
    mayEndAnywhere: false,
    open: () => new SourceReadable(answer),
    close: () => {},
  };
}

class LaterAnswer implements Source {
  readonly #request: RemoteRequest;
  readonly #over = new AbortController();
  #answer: Source | undefined;
  #contentType: string | undefined;

  constructor(request: RemoteRequest) {
    this.#request = request;
  }

  get contentType(): string | undefined {
    return this.#contentType;
  }

  async next(): Promise<Uint8Array | undefined> {
    this.#answer ??= await this.#ask();
    return this.#answer.next();
  }

  end(reason: unknown): void {
    this.#over.abort(reason);
  }

  async #ask(): Promise<Source> {
    const response = await wholeAnswerTo(this.#request, this.#over.signal);
    this.#contentType = typeOfAnswer(response);
    return new AnswerSource(response, { skipBytes: 0, allowUnframed: this.#request.allowUnframed });
  }
}

async function openAt(
  response: Response,
  position: number,
  size: number | undefined,
  allowUnframed: boolean,
): Promise<Readable> {
  const { status, headers } = response;
  if (status !== PARTIAL_CONTENT) return wholeAnswer(response, { skipBytes: position, allowUnframed });
  const { start, end, total = size } = contentRangeOf(headers);
  const hasOtherSize = size !== undefined && total !== size;
  // A server may send less than was requested (RFC 9110, section 15.3.7).
  const isCut = total === undefined || end !== total - 1;
  if (start !== position || hasOtherSize || isCut) {
    await discard(response);
    throw new UnexpectedStatusError(
      status,
      `the answer is not the whole range from byte ${position} on: ${headers.get('content-range') ?? ''}`,
    );
  }
  return wholeAnswer(response, { skipBytes: 0, allowUnframed, size: total - position });
}

async function wholeAnswerTo(request: RemoteRequest, signal?: AbortSignal): Promise<Response> {
  const response = await answerTo(request, signal);
  const wantsPart = 'range' in request.headers;
  if (response.status !== PARTIAL_CONTENT || wantsPart) return response;
  await discard(response);
  throw new UnexpectedStatusError(response.status, 'the answer is a part, and nobody asked for one');
}

async function answerTo({ url, ...options }: RemoteRequest, signal?: AbortSignal): Promise<Response> {
  const response = await requestResource(url, { ...options, ...(signal && { signal }) });
  if (response.ok) return response;
  await discard(response);
  // What it says may repeat a secret of the request.
  throw new UnexpectedStatusError(response.status);
}
