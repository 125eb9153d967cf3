import type { EventSourceMessage, EventSourceParser, ParserConfig } from 'eventsource-parser';
import { TooLargeError } from '../errors.ts';
import { CollectedBytes, chunksOf } from './whole-body.ts';

export interface LinesOptions {
  /** Default 1 MiB. */
  maxLineBytes?: number;
}

const MAX_LINE_BYTES = 1024 * 1024;

const LF = 10;

/** UTF-8 has no character of more bytes for a UTF-16 unit. */
const MAX_BYTES_OF_UNIT = 3;

const laterDecoder = new TextDecoder('utf-8', { ignoreBOM: true });
const encoder = new TextEncoder();

/**
 * The lines of an answer, without their ends (LF or CRLF); the last one need not have one.
 * Who leaves the loop cancels the body.
 *
 * @throws {TooLargeError} for a longer line; what the body breaks with, and then its last line is not given
 */
export async function* lines(
  response: Response,
  { maxLineBytes = MAX_LINE_BYTES }: LinesOptions = {},
): AsyncGenerator<string> {
  for await (const block of blocks(response, maxLineBytes)) {
    for (const part of block.split('\n')) {
      const line = part.endsWith('\r') ? part.slice(0, -1) : part;
      if (exceeds(line, maxLineBytes)) throw tooLarge(maxLineBytes);
      yield line;
    }
  }
}

/**
 * The values of an answer that has one in each line, as JSON. Empty lines are left out.
 *
 * @throws {SyntaxError} for a line that is not JSON, and the errors of {@link lines}
 */
export async function* ndjson<T = unknown>(response: Response, options?: LinesOptions): AsyncGenerator<T> {
  for await (const line of lines(response, options)) {
    if (line.trim() !== '') yield JSON.parse(line);
  }
}

/** Whether a text has more bytes than `maxBytes`. */
export function exceeds(text: string, maxBytes: number): boolean {
  return text.length * MAX_BYTES_OF_UNIT > maxBytes && encoder.encode(text).length > maxBytes;
}

/** Texts that end where a line ends, without that end, and without a byte order mark at the beginning. */
async function* blocks(response: Response, maxLineBytes: number): AsyncGenerator<string> {
  const block = new CollectedBytes();
  // Leaves a byte order mark out.
  let decoder = new TextDecoder();
  const take = () => {
    const text = decoder.decode(block.take());
    decoder = laterDecoder;
    return text;
  };
  for await (const chunk of chunksOf(response)) {
    const end = chunk.lastIndexOf(LF);
    if (end !== -1) {
      block.append(chunk.subarray(0, end));
      yield take();
    }
    block.append(chunk.subarray(end + 1));
    // One more for a CR, which is no part of the line.
    if (block.length > maxLineBytes + 1) throw tooLarge(maxLineBytes);
  }
  const last = take();
  if (last !== '') yield last;
}

function tooLarge(maxLineBytes: number): TooLargeError {
  return new TooLargeError(`a line is longer than ${maxLineBytes} bytes`, maxLineBytes);
}

export interface EventsOptions {
  /** Default 1 MiB. */
  maxEventBytes?: number;
}

/** A server-sent event. */
export interface ServerSentEvent {
  /** Only when the event itself has one. */
  id?: string;
  /** Its type; browsers take one that has none for a `message`. */
  event?: string;
  data: string;
}

const MAX_EVENT_BYTES = 1024 * 1024;

/** How much the parser is given at a time, in characters. */
const PIECE_LENGTH = 65_536;

/**
 * The server-sent events of an answer. One that is cut off by the end is not given out.
 * Who leaves the loop cancels the body.
 *
 * @throws {TooLargeError} for a longer event; what the body breaks with
 */
export async function* events(
  response: Response,
  { maxEventBytes = MAX_EVENT_BYTES }: EventsOptions = {},
): AsyncGenerator<ServerSentEvent> {
  const tooLarge = () => new TooLargeError(`an event is longer than ${maxEventBytes} bytes`, maxEventBytes);
  let parsed: EventSourceMessage[] = [];
  let isTooLarge = false;
  let parser: EventSourceParser | undefined;
  const decoder = new TextDecoder();
  for await (const chunk of chunksOf(response)) {
    parser ??= await loadParser({
      maxBufferSize: maxEventBytes,
      onEvent: (event) => parsed.push(event),
      onError: ({ type }) => {
        isTooLarge ||= type === 'max-buffer-size-exceeded';
      },
    });
    const text = decoder.decode(chunk, { stream: true });
    for (let at = 0; at < text.length; at += PIECE_LENGTH) {
      parser.feed(text.slice(at, at + PIECE_LENGTH));
      for (const { id, event, data } of parsed) {
        if (exceeds(data, maxEventBytes)) throw tooLarge();
        yield { ...(id !== undefined && { id }), ...(event !== undefined && { event }), data };
      }
      parsed = [];
      if (isTooLarge) throw tooLarge();
    }
  }
}

/** Loaded when it is needed: it takes as long as all the rest. */
async function loadParser(config: ParserConfig): Promise<EventSourceParser> {
  return (await import('eventsource-parser')).createParser(config);
}
