import { pipeline, Transform } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { OpenFile } from '../../core/open-file.ts';
import { isJsonType } from '../../core/streams/stream-type.ts';
import type { StreamState } from '../../core/streams/stream-view.ts';
import { InvalidRequestError } from '../../wire/errors.ts';
import { RAW_QUERY } from '../../wire/page.ts';
import { preferredType } from '../request/headers.ts';
import { parameterOf } from '../request/query-parameters.ts';
import { AnswerNumbers } from '../response/answer-numbers.ts';
import { FileBody, type Range } from '../response/file-body.ts';
import { readWhole, SMALL_BODY_BYTES, sendStream } from '../response/send-bytes.ts';
import { arrayOfLines, commasForLineEnds } from './json-values.ts';

const LINE_FEED = 0x0a;
const LINES_TYPE = 'application/x-ndjson';

/** How the values of a JSON stream are sent. */
export interface JsonForm {
  /** As one array, or else one a line, as they are in the file. */
  isArray: boolean;
  contentType: string;
}

/** How a client wants the values of a JSON stream: with `?raw`, as the bytes that are stored. Undefined for other streams. */
export function jsonFormOf(request: FastifyRequest, { contentType }: StreamState): JsonForm | undefined {
  if (contentType === undefined || !isJsonType(contentType)) return undefined;
  const isArray =
    parameterOf(request, RAW_QUERY) === undefined &&
    preferredType(request, ['application/json', LINES_TYPE]) !== LINES_TYPE;
  return { isArray, contentType: isArray ? contentType : LINES_TYPE };
}

/** @throws {InvalidRequestError} when a position is within a line: nobody was told that one */
export function assertBetweenLines(file: OpenFile, position: number): void {
  if (position === 0) return;
  const [before] = file.readInLine(position - 1, 1);
  if (before !== LINE_FEED) throw new InvalidRequestError('the offset is within a value');
}

/**
 * Answers with the values of a JSON stream as an array. Closes the file.
 *
 * @param end what comes after it: a line end for people's terminals, nothing where the protocol is exact
 */
export async function sendArray(
  request: FastifyRequest,
  reply: FastifyReply,
  file: OpenFile,
  range: Range,
  end: '\n' | '' = '',
): Promise<FastifyReply> {
  if (request.method === 'HEAD') {
    await file.close();
    return reply.send();
  }
  const length = range.end - range.start;
  if (length > SMALL_BODY_BYTES) {
    // A failure of either ends the other, and the answer.
    const array = pipeline(
      new FileBody(file, [range], AnswerNumbers.of(request).files),
      new ArrayOfLines(end),
      () => undefined,
    );
    return sendStream(request, reply, array);
  }
  try {
    const lines = readWhole(file, range);
    AnswerNumbers.of(request).files.bytes += lines.length;
    return reply.send(Buffer.concat([arrayOfLines(lines), Buffer.from(end)]));
  } finally {
    await file.close();
  }
}

/** Turns values, one a line, into one array, in constant memory. */
class ArrayOfLines extends Transform {
  /** Whether the last byte was a line end, which is a comma only if something follows. */
  #isLineOver = false;
  readonly #end: string;

  constructor(end: string) {
    super();
    this.#end = end;
    this.push('[');
  }

  override _transform(block: Buffer, _encoding: string, callback: () => void): void {
    if (this.#isLineOver) this.push(',');
    this.#isLineOver = block.at(-1) === LINE_FEED;
    const lines = this.#isLineOver ? block.subarray(0, -1) : block;
    commasForLineEnds(lines);
    if (lines.length > 0) this.push(lines);
    callback();
  }

  override _flush(callback: () => void): void {
    this.push(`]${this.#end}`);
    callback();
  }
}
