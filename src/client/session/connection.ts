import type { HttpfstreamError } from '../../wire/errors.ts';
import type { ControlMessage, TypeMessage, Verb } from '../../wire/protocol.ts';

/** One connection of a session to a server, from its handshake on. */
export interface Connection {
  /** Whether the server speaks the subprotocol. Known once the connection is open. */
  readonly isV2: boolean;
  /** Bytes that wait to be sent. */
  readonly bufferedBytes: number;
  /**
   * Sends a message of bytes, which are copied.
   *
   * @param callback called when they no longer wait to be sent, where that is known: if not, what is acknowledged
   *   tells it
   */
  send(bytes: Uint8Array, callback: () => void): void;
  /** Sends a text message, to a server that has said that it takes it. */
  tell(message: TypeMessage): void;
  pause(): void;
  resume(): void;
  /** Starts the close handshake. The reason is sent only to servers that speak the subprotocol. */
  close(code: number, reason?: string): void;
  /** Waits a second for the server's close, which is all that is left to come: it makes no difference if it does not. */
  awaitClose(): void;
  /**
   * Ends the connection, of which nothing more is told.
   *
   * @param code sent first if the connection is open
   */
  abandon(code?: number): void;
}

/** How a connection ended. */
export interface ConnectionEnd {
  /** The server's close code; 1006 when the connection broke without one. */
  code: number;
  /** The reason in the server's close frame. */
  reason: string;
  /** Whether the connection ended between two messages. */
  isBetweenMessages: boolean;
  /** What broke the connection, if that is known. */
  error: Error | undefined;
  /** Whether a clean end is only presumed: nothing but the end of the connection tells it. */
  isPresumed?: true;
}

/** A server's answer to a handshake that it does not accept. */
export interface Refusal {
  /** HTTP status. */
  status: number;
  error: HttpfstreamError;
}

/** Events of a connection. None comes after `abandon`. */
export interface ConnectionHandlers {
  /**
   * Whether an answer with the bytes in place of a WebSocket is as good, which is how a legacy server answers a follower
   * of what nobody appends to.
   */
  takesBody?: boolean;
  onOpen: (connection: Connection) => void;
  /** The server has refused: no other event comes. */
  onRefused: (refusal: Refusal) => void;
  onPayload: (bytes: Uint8Array) => void;
  /** Only if the server speaks the subprotocol. */
  onMessage: (message: ControlMessage) => void;
  /** The last event, also of a connection that could not be made. */
  onEnd: (end: ConnectionEnd) => void;
}

/** Starts a handshake. Throws when what is to be sent with it cannot be. */
export type Connect = (url: URL, verb: Verb, handlers: ConnectionHandlers) => Connection;

/**
 * Gives what makes the next connection of a session, after those were asked who say what is sent with it (a token, say):
 * at once if there is nobody to be asked, so that what cannot be sent throws.
 */
export type Connector = () => Connect | Promise<Connect>;
