import type { FastifyReply, FastifyRequest } from 'fastify';
import type { OpenFile } from '../../core/open-file.ts';
import type { Permit } from '../../core/permit.ts';
import { ignoreMissing } from '../../core/preconditions.ts';
import type { Resources } from '../../core/resources.ts';
import { givenType } from '../../core/streams/stream-type.ts';
import { isCopy, type StreamState, type StreamView } from '../../core/streams/stream-view.ts';
import { jsonFormOf, sendArray } from '../json/json-response.ts';
import {
  assertChangeable,
  assertUnchanged,
  copyTag,
  isConditional,
  isFresh,
  type Validators,
} from '../response/conditions.ts';
import { contentTypeOf } from '../response/content-type.ts';
import {
  addVary,
  expiryHeaders,
  statusHeaders,
  streamHeaders,
  streamTag,
  userContentHeaders,
} from '../response/headers.ts';
import { LastModified } from '../response/last-modified.ts';
import { sendRanges } from '../response/send-ranges.ts';

/** What is told of a file beside its bytes. */
export interface SeenFile {
  view: StreamView;
  /** Exit status of the command whose output it is, if that is known. */
  status: number | undefined;
}

/**
 * Answers GET and HEAD with a file: whole or in ranges, or not at all when the
 * client has it already. Closes the file.
 *
 * @param seen what is to be seen of it: the file may be growing beyond that
 */
export async function sendFile(
  request: FastifyRequest,
  reply: FastifyReply,
  file: OpenFile,
  name: string,
  { view, status }: SeenFile,
): Promise<FastifyReply> {
  try {
    const { state } = view;
    const { size } = state;
    const form = jsonFormOf(request, state);
    const contentType = form?.contentType ?? contentTypeOf(givenType(state), name, file, size);
    const etag = tagOf(file, state, form?.isArray === true);
    const lastModified = lastModifiedOf(file, state);
    reply.headers({
      'accept-ranges': 'bytes',
      'cache-control': request.method === 'HEAD' ? 'no-store' : 'no-cache',
      ...streamHeaders(view, size),
      ...expiryHeaders(state),
      ...statusHeaders(status),
      etag,
      'last-modified': lastModified.header,
      ...userContentHeaders(request, contentType),
    });
    if (form !== undefined) addVary(reply, 'Accept');
    assertUnchanged(request.headers, { etags: [etag], lastModified });
    // Closing it is a change, though nothing was written.
    const date = state.closed === true ? undefined : lastModified;
    if (isFresh(request.headers, { etags: [etag], lastModified: date })) {
      await file.close();
      return reply.code(304).send();
    }

    if (form?.isArray) {
      reply.removeHeader('accept-ranges');
      return await sendArray(request, reply.type(contentType), file, { start: 0, end: size }, '\n');
    }
    return await sendRanges(request, reply.type(contentType), file, { size, etag, lastModified });
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** What tells this state of a file from others, in whatever form it was read. */
function validatorsOf(file: OpenFile, view: StreamView): Validators {
  const { state } = view;
  const etags = [false, true].flatMap((isArray) => [
    tagOf(file, state, isArray),
    streamTag(view, 0, isArray),
  ]);
  return { etags, lastModified: lastModifiedOf(file, state) };
}

function lastModifiedOf({ stat }: OpenFile, { size }: StreamState): LastModified {
  return new LastModified(Number(stat.mtimeNs / 1_000_000n), size === stat.size, Date.now());
}

/** Changes whenever what is sent does: with the bytes, when the file is made anew, when a stream is closed. */
function tagOf({ stat }: OpenFile, state: StreamState, isArray: boolean): string {
  const { size, closed } = state;
  const forms = [...(closed === true ? ['c'] : []), ...(isArray ? ['a'] : [])];
  // When it was written here tells nothing of what is there.
  if (isCopy(state)) return copyTag(size, state.copy.generation, ...forms);
  const parts = [size, stat.mtimeNs, stat.generation].map((part) => part.toString(36));
  return `"${[...parts, ...forms].join('-')}"`;
}

/**
 * Checks the conditions under which a request is to change a resource, which is
 * not locked meanwhile: of two concurrent requests both may pass.
 *
 * @throws {PreconditionFailedError} when one does not hold
 */
export async function assertWriteConditions(
  { headers }: FastifyRequest,
  permit: Permit<'append' | 'form' | 'delete'>,
  resources: Resources,
): Promise<void> {
  if (!isConditional(headers)) return;
  const file = await resources.openAny(permit).catch(ignoreMissing);
  try {
    const isFile = file?.stat.kind === 'file';
    assertChangeable(headers, isFile ? validatorsOf(file, await resources.view(file)) : undefined);
  } finally {
    await file?.close();
  }
}
