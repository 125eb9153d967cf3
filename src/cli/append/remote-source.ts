import type { Readable } from 'node:stream';
import { wholeAnswer } from '../../client/append/answer-source.ts';
import { declaredLength } from '../../http/body/body.ts';
import { UnexpectedStatusError } from '../../wire/errors.ts';
import { contentRangeOf, discard, requestResource } from '../resource-request.ts';
import type { ByteSource } from './local-source.ts';
import { remoteFileName } from './remote-file-name.ts';

const PARTIAL_CONTENT = 206;

/** What is asked for, and what is taken for an answer. */
export interface RemoteRequest {
  url: string;
  /** For that server, and no other. */
  headers: Readonly<Record<string, string>>;
  /** Whether an answer that ends only with its connection is taken for a whole one. */
  allowUnframed: boolean;
}

/**
 * What GET of a URL answers. The request is sent now, so that nothing is
 * appended when it fails.
 *
 * @throws {UnexpectedStatusError} unless the status is 2xx, and the errors of {@link requestResource}
 */
export async function remoteSource(request: RemoteRequest): Promise<ByteSource> {
  const { allowUnframed } = request;
  const response = await answerTo(request, {});
  if (response.status === PARTIAL_CONTENT) {
    await discard(response);
    throw new UnexpectedStatusError(response.status, 'the answer is a part, and nobody asked for one');
  }
  const size = declaredLength(response.headers);
  return {
    size,
    fileName: remoteFileName(new URL(response.url), response.headers.get('content-disposition')),
    canSeek: true,
    mayEndAnywhere: false,
    async open(position) {
      if (position === 0) return wholeAnswer(response, { skipBytes: 0, allowUnframed });
      await discard(response);
      const rest = await answerTo(request, { range: `bytes=${position}-` });
      return openAt(rest, position, size, allowUnframed);
    },
    close: () => void discard(response),
  };
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
  return wholeAnswer(response, { skipBytes: 0, allowUnframed });
}

async function answerTo(
  { url, headers }: RemoteRequest,
  more: Readonly<Record<string, string>>,
): Promise<Response> {
  const response = await requestResource(url, { method: 'GET', headers: { ...headers, ...more } });
  if (response.ok) return response;
  await discard(response);
  throw new UnexpectedStatusError(response.status);
}
