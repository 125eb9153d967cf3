import { ConnectionError, FramingError, ProtocolError } from '../../wire/errors.ts';
import { CloseCode } from '../../wire/protocol.ts';

/** Close codes that say what the peer will not have: protocol error, kind of data, text, policy, size (RFC 6455, section 7.4.1). */
const REFUSALS: readonly number[] = [1002, 1003, 1007, 1008, 1009];

/** How a connection ended. */
export interface ConnectionEnd {
  /** The server's close code; 1006 when the connection broke without one. */
  code: number;
  /** The text that came with it. */
  reason: string;
  /** Whether it came between two messages. */
  isBetweenMessages: boolean;
  /** What broke the connection, if that is known. */
  error: Error | undefined;
}

/** Close codes of a stream that has finished: those of an end in order, none, and those of a server that goes away. */
const CODES_OF_FINISHED: readonly number[] = [
  CloseCode.finished,
  CloseCode.none,
  CloseCode.abnormal,
  CloseCode.goingAway,
  CloseCode.serviceRestart,
];

/** What to tell of a connection that broke, or could not be made. */
export function connectionError({ code, reason, error }: ConnectionEnd): ConnectionError | ProtocolError {
  if (error instanceof ConnectionError) return error;
  if (error instanceof FramingError) return new ProtocolError(error.message, { cause: error });
  if (error !== undefined) return new ConnectionError(error.message, { cause: error });
  if (code === CloseCode.abnormal) return new ConnectionError('the connection broke');
  return new ConnectionError(
    `the server closed the connection (close code ${code}${reason && `: ${reason}`})`,
  );
}

/** Whether the server closed with a code that says that it would refuse the same the next time, too. */
export function isRefusal({ code, error }: ConnectionEnd): boolean {
  return error === undefined && REFUSALS.includes(code);
}

/** What is wrong with the end of a connection after the stream was called finished; undefined when nothing is. */
export function breachOfFinished(end: ConnectionEnd): ConnectionError | ProtocolError | undefined {
  if (end.error instanceof FramingError) return connectionError(end);
  if (CODES_OF_FINISHED.includes(end.code)) return undefined;
  const close = `close code ${end.code}${end.reason && `: ${end.reason}`}`;
  return new ProtocolError(`the server called the stream finished, and closed it as broken (${close})`);
}
