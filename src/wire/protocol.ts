/**
 * The words of the wire: verbs, headers, close codes and the limits that the
 * original program's clients impose. Browser-safe.
 */
import { isContentType } from './content-type.ts';
import type { ListRow } from './page.ts';

/** Idle time after which TCP probes whether the peer's machine is still there. */
export const TCP_KEEP_ALIVE_MS = 30_000;

export type Verb = 'APPEND' | 'FOLLOW';

/** The HTTP methods that are supported. */
export const METHODS: readonly string[] = ['DELETE', 'GET', 'HEAD', 'OPTIONS', 'POST', 'PUT'];

/** Request header for the verb; it takes precedence over the query parameter. */
export const VERB_HEADER = 'x-verb';

/** Response header of what is followed over HTTP: the generation of its file. */
export const GENERATION_HEADER = 'stream-generation';

/** Query parameter for the verb. */
export const VERB_QUERY = 'verb';

/**
 * The WebSocket subprotocol with positions, acknowledgements and honest ends.
 * A client that does not negotiate it is a legacy client.
 */
export const SUBPROTOCOL = 'httpfstream.v2';

/**
 * Begins what a page offers beside {@link SUBPROTOCOL}, since it cannot send headers with a handshake: the rest is its
 * token. It is never chosen.
 */
export const BEARER_PROTOCOL = 'bearer.';

/** Query parameters of clients that speak {@link SUBPROTOCOL}. */
export const QueryName = {
  /** Follower: position of the first byte; negative: that many bytes before the end. */
  from: 'from',
  /** Follower: the last so many lines. */
  lines: 'lines',
  /** Follower: seconds to wait for a resource that does not exist yet. */
  wait: 'wait',
  /**
   * Follower: seconds for which the file stays open after the end, for a follower that comes back with `generation`.
   */
  hold: 'hold',
  /** Follower: `1` to be told each second how things are, by a {@link ActivityMessage}. */
  status: 'status',
  /** Both: refuse if the file does not have this generation, because it was replaced. */
  generation: 'generation',
  /** Appender: a random token that the client has generated; a request with the same token resumes the session. */
  session: 'session',
  /** Appender: a number that grows with each request of the session, so that repeated requests are recognised. */
  attempt: 'attempt',
  /** Appender: the position at which the session must begin. */
  expect: 'expect',
  /** Appender: content type of what it brings, for a file that begins with it. */
  contentType: 'content-type',
} as const;

/**
 * Why a stream ended: its appender `finished` cleanly, or was lost or refused
 * (`interrupted`); the file was `deleted` or replaced, or cut to less than was
 * sent (`truncated`); or the server shuts down and will be back (`shutdown`).
 */
export type EndReason = 'finished' | 'interrupted' | 'deleted' | 'truncated' | 'shutdown';

/**
 * Header, or trailer, with the exit status of the command whose output the
 * stream is, as in a shell: 0 to 255; 128 and the signal's number if one killed it.
 */
export const STATUS_HEADER = 'stream-status';

export function isStatus(value: unknown): value is number {
  return Number.isInteger(value) && Number(value) >= 0 && Number(value) <= 255;
}

/** The reason in the close frame of an appender that has finished: the status, if there is one. */
export function closeReasonOf(status: number | undefined): string {
  return status === undefined ? '' : JSON.stringify({ status });
}

/** The status in the reason of an appender's close frame. Undefined when there is none, or it is malformed. */
export function statusOfCloseReason(reason: string): number | undefined {
  try {
    const { status } = Object(JSON.parse(reason));
    return isStatus(status) ? status : undefined;
  } catch {
    return undefined;
  }
}

/** The first message to followers and appenders: their bytes begin at `position`. */
export interface OpenMessage {
  type: 'open';
  generation: number;
  position: number;
  /** Whether an appender is connected. */
  live: boolean;
  /**
   * To a follower: how many bytes there are by now, those included that a relay is still fetching. Missing when it does
   * not know how many these are.
   */
  size?: number;
  /** To a follower: as long as it has not finished, this is a part of something, and nobody must take it for all. */
  part?: true;
  /**
   * Content type of what was made as a stream, or that an append has given to a file. To an appender: null when there
   * is none, and it may be given with a {@link TypeMessage}; missing from servers that do not take one.
   */
  contentType?: string | null | undefined;
  /** To a follower: whether it was made as a stream of that type. */
  stream?: true;
}

/**
 * Content type of what the file begins with: from an appender that is told by its first message that it may give one,
 * before its first byte; to followers that were not told by theirs.
 */
export interface TypeMessage {
  type: 'type';
  contentType: string;
}

/**
 * Reads what an appender says in a text message: the content type of what it brings. Undefined when it is anything
 * else, or malformed.
 */
export function contentTypeIn(text: string): string | undefined {
  try {
    const { type, contentType } = Object(JSON.parse(text));
    return type === 'type' && isContentType(contentType) ? contentType : undefined;
  } catch {
    return undefined;
  }
}

/** To an appender: the bytes below `position` are safe. */
export interface AckMessage {
  type: 'ack';
  position: number;
}

/** Details of an end, besides its reason. */
export interface EndFacts {
  /** With `finished`: exit status of the command that wrote the stream, if its appender has sent it. */
  status?: number | undefined;
  /** With `finished`: whether the stream is closed, so that nothing will be appended any more. */
  closed?: true | undefined;
  /** With `finished`: whether it is a file as it lies there, of no append to which the server knows. */
  stored?: true | undefined;
  /** With `deleted`: the generation of the file that has replaced it, if the server has noticed that. */
  next?: number;
  /** With `next`: whether there may have been other files in between. */
  gap?: boolean;
  /** With `truncated`: how many bytes from `position` on are lost. */
  lost?: number;
  /** Whether another file is at the path, though more may come of this one for a follower that comes back. */
  moved?: true | undefined;
}

/** Last message before the close. */
export interface EndMessage extends EndFacts {
  type: 'end';
  position: number;
  /** `missing`: the resource did not appear while the follower waited. */
  reason: EndReason | 'missing';
  /** What went wrong, for people. */
  detail?: string;
}

/**
 * To a follower: the appender's connection broke, or that of a relay, or the resource does not exist yet (`waiting`); that is over
 * (`live`).
 */
export interface StatusMessage {
  type: 'waiting' | 'live';
}

/**
 * To a follower that has asked for it, once a second: what goes on. Bytes between the positions of two of them came between
 * their times.
 */
export interface ActivityMessage {
  type: 'status';
  /** When it was sent, by the server's clock, in milliseconds since 1970. */
  time: number;
  /** How many bytes there were by then. Missing, with all below, before the resource is there. */
  position?: number;
  /** How many follow at this server, in whatever way, this one included. */
  followers?: number;
  /** How many bytes have come since the last message, by the second. */
  rate?: number;
}

/**
 * To who follows a directory: its list is to be read, be it for the first time, or anew, since too much has changed to be told
 * one by one.
 */
export interface ListMessage {
  type: 'list';
}

/** To who follows a directory: what is at a name by now. */
export interface EntryMessage {
  type: 'entry';
  row: ListRow;
}

/** To who follows a directory: nothing is at a name any more. */
export interface GoneMessage {
  type: 'gone';
  name: string;
}

/** A text message of the server: a JSON object. Clients ignore those of other types. */
export type ControlMessage =
  | OpenMessage
  | AckMessage
  | EndMessage
  | StatusMessage
  | ActivityMessage
  | ListMessage
  | EntryMessage
  | GoneMessage
  | TypeMessage;

/** Longest text message, in bytes. */
export const MAX_CONTROL_BYTES = 4096;

/** Longest binary message that a server sends to a follower, in payload bytes. */
export const MAX_DATA_BYTES = 1024 * 1024;

/** Longest time for which a follower may ask to wait for its resource, in seconds: a day. */
export const MAX_WAIT_SECONDS = 86_400;

/** Longest time for which a follower may ask to keep its file open, in seconds. */
export const MAX_HOLD_SECONDS = 300;

/** How often the clients of this package send a ping. */
export const HEARTBEAT_MS = 5000;

/** WebSocket close codes, and what they mean here (RFC 6455, section 7.4.1). */
export const CloseCode = {
  /** The appender ended cleanly and every byte was delivered. */
  finished: 1000,
  /** The endpoint goes away: the server shuts down, or a client gives up. */
  goingAway: 1001,
  protocolError: 1002,
  /** An appender that speaks {@link SUBPROTOCOL} sent a text message that means nothing. */
  unsupportedData: 1003,
  /** Never sent: the close frame carried no code. */
  none: 1005,
  /** Never sent: the connection broke without a close frame. */
  abnormal: 1006,
  /** A close frame whose reason is not UTF-8. */
  invalidPayload: 1007,
  messageTooBig: 1009,
  /** The stream was interrupted: the appender was lost, or writing to the disk failed. */
  interrupted: 1011,
  /** The server shuts down and will be back. */
  serviceRestart: 1012,
  /** The client's credential has expired: with another one it may go on. */
  unauthorized: 3000,
  /** The client's right was taken away. */
  forbidden: 3003,
  /** An appender gives up that runs in a page, which may not send {@link CloseCode.goingAway}. */
  givenUp: 4001,
} as const;

/**
 * The longest message, in payload bytes, that the original follower reads as a
 * whole. It silently drops the rest of a longer one.
 */
export const LEGACY_MESSAGE_BYTES = 32_768;

/**
 * Messages of an appender that are shorter than this are short ones. They are merged, and what is made of them are
 * messages of this length at most for legacy followers: those with a small buffer lose what does not fit into it.
 */
export const SHORT_MESSAGE_BYTES = 1024;

/** How a stream has ended. */
export interface Outcome extends EndFacts {
  reason: EndReason;
}
