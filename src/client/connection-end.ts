import { ConnectionError } from '../errors.ts';
import { CloseCode } from '../protocol.ts';

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

/** What to tell of a connection that broke, or could not be made. */
export function connectionError({ code, reason, error }: ConnectionEnd): ConnectionError {
  if (error instanceof ConnectionError) return error;
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
