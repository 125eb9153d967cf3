import type { FastifyRequest } from 'fastify';
import { cutCharacterBytes } from '../../core/readers/characters.ts';
import type { Encoder } from '../../core/readers/chunk.ts';
import { anywhere, betweenCharacters, type Cutting } from '../../core/readers/cutting.ts';
import { cutText } from '../../wire/close-websocket.ts';
import { MAX_TYPE_LENGTH } from '../../wire/content-type.ts';
import {
  messageEncoder,
  messageHeader,
  putShortHeader,
  SHORT_HEADER_BYTES,
} from '../../wire/message-encoder.ts';
import { Opcode } from '../../wire/opcode.ts';
import {
  CloseCode,
  type ControlMessage,
  type EndReason,
  LEGACY_MESSAGE_BYTES,
  MAX_CONTROL_BYTES,
  MAX_DATA_BYTES,
  SHORT_MESSAGE_BYTES,
  SUBPROTOCOL,
  statusOfCloseReason,
} from '../../wire/protocol.ts';
import { offersSubprotocol } from '../request/request-target.ts';

/**
 * What the end of a connection means for an append: the append is over
 * (`finished`, or given up: `interrupted`), or only the connection is `lost`.
 */
export type AppendEnd = 'finished' | 'interrupted' | 'lost';

/** How to talk to a client: as to the original's, or by the subprotocol. */
export interface Dialect {
  /** The subprotocol that is negotiated, if any. */
  readonly subprotocol: string | undefined;
  /** How bytes are laid out for followers. */
  readonly encode: Encoder;
  /** Where bytes may be cut for followers. */
  readonly cutting: Cutting;
  /** Encodes a control message; empty for clients that would not understand it. */
  control(message: ControlMessage): Buffer;
  /** The close code that tells followers how the feed has ended. */
  closeCode(reason: EndReason): number;
  /** The close code for appenders when the server closes. */
  readonly closingCode: number;
  /** Whether clients answer pings, so that one that sends nothing at all is dead. */
  readonly answersPings: boolean;
  /** Whether appenders send bytes in text messages, too. */
  readonly appendsText: boolean;
  /** What an appender's close frame means, which came between two messages or within one. */
  endOfClose(code: number, isBetweenMessages: boolean): AppendEnd;
  /** The exit status in the reason of an appender's close frame, if there is one. */
  statusOfClose(reason: string): number | undefined;
  /** What the end of an appender's connection without a close frame means; orderly: by a FIN, between two messages. */
  endOfConnection(isOrderly: boolean): AppendEnd;
}

const encodeControl = messageEncoder(Opcode.text, MAX_CONTROL_BYTES);

const CLOSE_CODES: Readonly<Record<EndReason, number>> = {
  finished: CloseCode.finished,
  interrupted: CloseCode.interrupted,
  deleted: CloseCode.interrupted,
  truncated: CloseCode.interrupted,
  shutdown: CloseCode.serviceRestart,
};

/** Clients that speak {@link SUBPROTOCOL}. */
export const v2Dialect: Dialect = {
  subprotocol: SUBPROTOCOL,
  encode: messageEncoder(Opcode.binary, MAX_DATA_BYTES),
  cutting: anywhere,
  control: (message) => Buffer.concat(encodeControl([Buffer.from(JSON.stringify(message))])),
  closeCode: (reason) => CLOSE_CODES[reason],
  closingCode: CloseCode.serviceRestart,
  answersPings: true,
  appendsText: false,
  endOfClose: (code, isBetweenMessages) => {
    if (code === CloseCode.finished && isBetweenMessages) return 'finished';
    return code === CloseCode.goingAway || code === CloseCode.givenUp ? 'interrupted' : 'lost';
  },
  statusOfClose: statusOfCloseReason,
  endOfConnection: () => 'lost',
};

/** What a client is told of a content type; nothing of one that is too long for a message. */
export function toldType<T extends string | null | undefined>(contentType: T): { contentType?: T } {
  const isTold = contentType !== undefined && (contentType?.length ?? 0) <= MAX_TYPE_LENGTH;
  return isTold ? { contentType } : {};
}

/** So much fits into a message in any case: JSON makes up to six bytes of one. */
const MAX_DETAIL_BYTES = 512;

/** What a client is told of what went wrong: its beginning, where it is too long for a message. */
export function toldDetail(detail: string): string {
  return cutText(detail, MAX_DETAIL_BYTES);
}

const NOTHING = Buffer.alloc(0);

/** The original's clients, and whoever else did not ask for the subprotocol. */
export const legacyDialect: Dialect = {
  subprotocol: undefined,
  // The original's follower reads nothing but short, unfragmented text messages.
  encode: textEncoder(LEGACY_MESSAGE_BYTES, SHORT_MESSAGE_BYTES),
  cutting: betweenCharacters,
  control: () => NOTHING,
  // The original's follower takes 1001 for the end, so a shutdown must not be told that way.
  closeCode: (reason) => (reason === 'finished' ? CloseCode.finished : CloseCode.interrupted),
  closingCode: CloseCode.goingAway,
  answersPings: false,
  appendsText: true,
  endOfClose: (code, isBetweenMessages) => {
    const isClean = code === CloseCode.finished || code === CloseCode.none;
    return isClean && isBetweenMessages ? 'finished' : 'interrupted';
  },
  statusOfClose: () => undefined,
  // The original's client ends like that.
  endOfConnection: (isOrderly) => (isOrderly ? 'finished' : 'interrupted'),
};

/** The dialect of a client: whether it offers the subprotocol. */
export function dialectOf(request: FastifyRequest): Dialect {
  return offersSubprotocol(request) ? v2Dialect : legacyDialect;
}

/**
 * Makes an encoder of WebSocket text messages, unmasked and unfragmented: one
 * for each part, in which no character is cut where the bytes are UTF-8; the
 * end of all parts aside. Of parts that were not merged it copies nothing: the result alternates between
 * headers and views of them. Those that were make short messages, which are copied to one buffer.
 *
 * @param maxMessageBytes longest payload of one message; longer parts make more messages
 * @param maxShortBytes the same of parts that were merged, or are not longer than this; 4 at least
 */
export function textEncoder(maxMessageBytes: number, maxShortBytes: number): Encoder {
  return (parts, merged) => {
    const encoded: Buffer[] = [];
    /** The beginning of a character, 3 bytes at most, which goes with what comes next. */
    let begun: Buffer = NOTHING;
    const push = (whole: Buffer) => {
      encoded.push(messageHeader(Opcode.text, begun.length + whole.length));
      if (begun.length > 0) encoded.push(begun);
      encoded.push(whole);
    };
    for (const [index, part] of parts.entries()) {
      const isLast = index === parts.length - 1;
      if (merged?.has(part) === true) {
        const bytes = begun.length === 0 ? part : Buffer.concat([begun, part]);
        const wholeBytes = bytes.length - (isLast ? 0 : cutCharacterBytes(bytes));
        if (wholeBytes > 0) encoded.push(shortMessages(bytes, wholeBytes, maxShortBytes));
        begun = bytes.subarray(wholeBytes);
        continue;
      }
      const maxBytes = part.length <= maxShortBytes ? maxShortBytes : maxMessageBytes;
      for (let at = 0; at < part.length; ) {
        let rest = part.subarray(at, at + maxBytes - begun.length);
        at += rest.length;
        // A few bytes do not tell by themselves what they are.
        if (rest.length < 4 && begun.length > 0) {
          rest = Buffer.concat([begun, rest]);
          begun = NOTHING;
        }
        const isEnd = isLast && at === part.length;
        const wholeBytes = rest.length - (isEnd ? 0 : cutCharacterBytes(rest));
        if (wholeBytes > 0) push(rest.subarray(0, wholeBytes));
        begun = rest.subarray(wholeBytes);
      }
    }
    if (begun.length > 0) encoded.push(messageHeader(Opcode.text, begun.length), begun);
    return encoded;
  };
}

/**
 * The first `length` bytes as text messages of so many bytes at most. No character is cut, as far as the bytes are UTF-8;
 * the end of all aside.
 */
function shortMessages(bytes: Buffer, length: number, maxBytes: number): Buffer {
  // None but the last has fewer, but for the beginning of a character.
  const mostMessages = Math.ceil(length / (maxBytes - 3));
  const encoded = Buffer.allocUnsafeSlow(length + mostMessages * SHORT_HEADER_BYTES);
  let written = 0;
  for (let at = 0; at < length; ) {
    let end = Math.min(at + maxBytes, length);
    if (end < length) end -= cutCharacterBytes(bytes, end);
    written = putShortHeader(encoded, written, Opcode.text, end - at);
    written += bytes.copy(encoded, written, at, end);
    at = end;
  }
  return encoded.subarray(0, written);
}
