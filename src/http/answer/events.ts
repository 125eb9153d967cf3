import { createParser, type EventSourceMessage } from 'eventsource-parser';
import { TooLargeError } from '../errors.ts';
import { chunksOf } from './chunks.ts';
import { exceeds } from './lines.ts';

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
  const parser = createParser({
    maxBufferSize: maxEventBytes,
    onEvent: (event) => parsed.push(event),
    onError: ({ type }) => {
      isTooLarge ||= type === 'max-buffer-size-exceeded';
    },
  });
  const decoder = new TextDecoder();
  for await (const chunk of chunksOf(response)) {
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
