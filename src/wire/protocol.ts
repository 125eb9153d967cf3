/**
 * The words of the wire: verbs, headers, close codes and the limits that the
 * original program's clients impose. Browser-safe; imports nothing.
 */

/** Quiet time after which TCP starts to probe whether the other side's machine is still there, for connections that may be quiet. */
export const TCP_KEEP_ALIVE_MS = 30_000;

/** What a request wants of a resource. */
export type Verb = 'APPEND' | 'FOLLOW';

/** The methods of HTTP that have a meaning here. */
export const METHODS: readonly string[] = ['DELETE', 'GET', 'HEAD', 'OPTIONS', 'POST', 'PUT'];

/** Request header that names the verb; it wins over the query parameter. */
export const VERB_HEADER = 'x-verb';

/** Query parameter that names the verb when the header is absent. */
export const VERB_QUERY = 'verb';

/**
 * The WebSocket subprotocol with positions, acknowledgements and honest ends.
 * A client that does not negotiate it is a legacy client.
 */
export const SUBPROTOCOL = 'httpfstream.v2';

/** Names of the query parameters that a client of {@link SUBPROTOCOL} may send. */
export const QueryName = {
  /** Follower: first byte wanted; negative: that many bytes before the end. */
  from: 'from',
  /** Follower: the last so many lines. */
  lines: 'lines',
  /** Follower: seconds to wait for a resource that does not exist yet. */
  wait: 'wait',
  /** Follower: seconds for which the file is held after its end, for one that comes back with `generation`. */
  hold: 'hold',
  /** Both: refuse if the file was made anew since it had this generation. */
  generation: 'generation',
  /** Appender: a random token that the client made; who brings it again goes on. */
  session: 'session',
  /** Appender: a number that grows with each request of the session, so that a repeated one is known. */
  attempt: 'attempt',
  /** Appender: the position at which the session must begin. */
  expect: 'expect',
} as const;

/**
 * Why a stream ended: its appender `finished` cleanly, or was lost or refused
 * (`interrupted`); the file was `deleted` or made anew, or cut to less than was
 * sent (`truncated`); or the server shuts down and will be back (`shutdown`).
 */
export type EndReason = 'finished' | 'interrupted' | 'deleted' | 'truncated' | 'shutdown';

/**
 * Header, or trailer, with the exit status of the command whose output a
 * stream is, as shells count: 0 to 255, and 128 and the signal's number when one killed it.
 */
export const STATUS_HEADER = 'stream-status';

/** Whether this is an exit status. */
export function isStatus(value: unknown): value is number {
  return Number.isInteger(value) && Number(value) >= 0 && Number(value) <= 255;
}

/** What an appender's close frame says as its reason beside code 1000: the status, if there is one. */
export function closeReasonOf(status: number | undefined): string {
  return status === undefined ? '' : JSON.stringify({ status });
}

/** The status in the reason of an appender's close frame. Undefined when there is none, or it makes no sense. */
export function statusOfCloseReason(reason: string): number | undefined {
  try {
    const { status } = Object(JSON.parse(reason));
    return isStatus(status) ? status : undefined;
  } catch {
    return undefined;
  }
}

/** First message to both: what follows begins at `position`. */
export interface OpenMessage {
  type: 'open';
  generation: number;
  position: number;
  /** Whether somebody appends. */
  live: boolean;
}

/** To an appender: the bytes below `position` are safe. */
export interface AckMessage {
  type: 'ack';
  position: number;
}

/** What a follower may be told of an end beside its reason. */
export interface EndFacts {
  /** With `finished`: how the command ended that wrote the stream, if its appender told. */
  status?: number | undefined;
  /** With `deleted`: the generation of the file that took its place, which the server has seen do so. */
  next?: number;
  /** With `next`: whether others may have been there in between. */
  gap?: boolean;
  /** With `truncated`: how many bytes from `position` on were there and cannot be had any more. */
  lost?: number;
}

/** Last message before the close. */
export interface EndMessage extends EndFacts {
  type: 'end';
  position: number;
  /** `missing`: the resource did not appear while the follower waited. */
  reason: EndReason | 'missing';
  /** For people: what went wrong. */
  detail?: string;
}

/** To a follower: the appender's connection broke, or the resource is not there yet; and it is (back). */
export interface StatusMessage {
  type: 'waiting' | 'live';
}

/** A text message from the server, as one JSON object. Ignore those of other types. */
export type ControlMessage = OpenMessage | AckMessage | EndMessage | StatusMessage;

/** Longest text message, in bytes. */
export const MAX_CONTROL_BYTES = 4096;

/** Longest binary message that a server sends to a follower, in payload bytes. */
export const MAX_DATA_BYTES = 1024 * 1024;

/** Longest time for which a follower may ask to wait for its resource, in seconds: a day. */
export const MAX_WAIT_SECONDS = 86_400;

/** Longest time for which a follower may ask to have its file held, in seconds. */
export const MAX_HOLD_SECONDS = 300;

/** How often a client of this package gives a sign of life by itself, in milliseconds. */
export const HEARTBEAT_MS = 5000;

/** WebSocket close codes as this project uses them (RFC 6455, section 7.4.1). */
export const CloseCode = {
  /** The appender ended cleanly and every byte was delivered. */
  finished: 1000,
  /** The endpoint goes away: the server shuts down, or a client gives up. */
  goingAway: 1001,
  protocolError: 1002,
  /** A text message came from an appender that speaks {@link SUBPROTOCOL}. */
  unsupportedData: 1003,
  /** Never sent: the close frame carried no code. */
  none: 1005,
  /** Never sent: the connection broke without a close frame. */
  abnormal: 1006,
  messageTooBig: 1009,
  /** The stream broke: the appender was lost or the disk refused its bytes. */
  interrupted: 1011,
  /** The server shuts down and will be back. */
  serviceRestart: 1012,
} as const;

/**
 * The longest message, in payload bytes, that the original follower reads
 * whole. What exceeds it is dropped by that client without a word.
 */
export const LEGACY_MESSAGE_BYTES = 32_768;

/**
 * The longest run of bytes, of several short messages of an appender, that goes
 * to legacy followers as one: those that read through a small buffer lose what
 * has no room in it. With the beginning of a character before it, it has 1,024.
 */
export const MERGED_BYTES = 1021;
