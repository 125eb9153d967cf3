import type { Encoder } from '../../core/chunk.ts';
import type { Cutting } from '../../core/cutting.ts';
import type { ControlMessage, EndReason } from '../../wire/protocol.ts';

/**
 * What a connection's end says of an append: it is over (`finished`, or given
 * up: `interrupted`), or only the connection is `lost`.
 */
export type AppendEnd = 'finished' | 'interrupted' | 'lost';

/** How a client is talked to: as the original's, or with the subprotocol. */
export interface Dialect {
  /** The subprotocol that is negotiated. */
  readonly subprotocol: string | undefined;
  /** How bytes are laid out for followers. */
  readonly encode: Encoder;
  /** Where bytes may be cut for followers. */
  readonly cutting: Cutting;
  /** The frame that carries a message for the client; empty if it would not understand. */
  control(message: ControlMessage): Buffer;
  /** The close code with which a feed's end is told to followers. */
  closeCode(reason: EndReason): number;
  /** The close code for appenders when the server closes. */
  readonly closingCode: number;
  /** Whether a client that sends nothing at all, not even pongs, is dead. */
  readonly answersPings: boolean;
  /** Whether appenders send bytes in text messages, too. */
  readonly appendsText: boolean;
  /** What an appender's close frame means, which came between two messages or tore one. */
  endOfClose(code: number, isBetweenMessages: boolean): AppendEnd;
  /** The exit status that the reason of an appender's close frame tells, if it does. */
  statusOfClose(reason: string): number | undefined;
  /** What it means that an appender's connection ended without a close frame, in order (FIN, between two messages) or not. */
  endOfConnection(isOrderly: boolean): AppendEnd;
}
