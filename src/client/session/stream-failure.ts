import {
  ConnectionError,
  ConnectionLostError,
  ForbiddenRightError,
  FramingError,
  type HttpfstreamError,
  ProtocolError,
  RangeNotSatisfiableError,
  ResourceGoneError,
  ResourceNotFoundError,
  StreamInterruptedError,
  StreamTruncatedError,
  UnauthorizedError,
} from '../../wire/errors.ts';
import { CloseCode, type EndMessage, type EndReason } from '../../wire/protocol.ts';
import type { ConnectionEnd } from './connection.ts';

/**
 * Close codes that reject what was sent: protocol error, kind of data, text, policy, size (RFC 6455, section 7.4.1).
 */
const REFUSALS: readonly number[] = [1002, 1003, 1007, 1008, 1009];

/** Close codes that may follow a finished stream: a clean close, none at all, and a server that goes away. */
const CODES_AFTER_FINISHED: readonly number[] = [
  CloseCode.finished,
  CloseCode.none,
  CloseCode.abnormal,
  CloseCode.goingAway,
  CloseCode.serviceRestart,
];

/** The error of a stream that broke and cannot be resumed. */
export function interrupted(message: string, cause?: Error): StreamInterruptedError {
  return new StreamInterruptedError(message, CloseCode.abnormal, { cause });
}

/** The error for an end other than `finished`. */
export function failureOfEnd({ reason, detail }: EndMessage): HttpfstreamError {
  switch (reason) {
    case 'deleted':
      return new ResourceGoneError(detail ?? 'the file was deleted');
    case 'truncated':
      return new StreamTruncatedError(detail ?? 'the file was cut');
    case 'missing':
      return new ResourceNotFoundError('file does not exist');
    default:
      return interrupted(`the stream was interrupted: ${detail ?? 'the appender was lost'}`);
  }
}

/**
 * The protocol violation in an end message; undefined when there is none.
 *
 * @param position of the stream; undefined when it has not begun
 */
export function violationInEnd(end: EndMessage, position: number | undefined): ProtocolError | undefined {
  if (end.reason === 'missing' || end.reason === 'shutdown') return undefined;
  if (position === undefined && end.reason === 'finished')
    return new ProtocolError('the stream ended before it began');
  if (position === undefined || end.position === position) return undefined;
  return new ProtocolError(`the stream ended at ${end.position}, but came to ${position}`);
}

/** The error of a stream that has run out of attempts. A protocol violation is passed on as it is. */
export function failureOfRetry(message: string, cause: HttpfstreamError): HttpfstreamError {
  if (cause instanceof ProtocolError) return cause;
  return new ConnectionLostError(`${message}: ${cause.message}`, { cause });
}

/** The error for a refusal of a stream that had begun. */
export function failureOfResume(error: HttpfstreamError): HttpfstreamError {
  if (error instanceof RangeNotSatisfiableError)
    return new StreamTruncatedError('the file was cut', { cause: error });
  return error;
}

/** The end reason that an error stands for, if any. */
export function endReasonOf(error: HttpfstreamError): EndReason | undefined {
  if (error instanceof StreamInterruptedError) return 'interrupted';
  if (error instanceof ResourceGoneError) return 'deleted';
  return error instanceof StreamTruncatedError ? 'truncated' : undefined;
}

/** The error for a connection that broke, or could not be made. */
export function connectionError({ code, reason, error }: ConnectionEnd): ConnectionError | ProtocolError {
  if (error instanceof ConnectionError) return error;
  if (error instanceof FramingError) return new ProtocolError(error.message, { cause: error });
  if (error !== undefined) return new ConnectionError(error.message, { cause: error });
  if (code === CloseCode.abnormal) return new ConnectionError('the connection broke');
  return new ConnectionError(
    `the server closed the connection (close code ${code}${reason && `: ${reason}`})`,
  );
}

/** The error for a stream of a legacy server, which tells its end by close codes only. */
export function failureOfClose(end: ConnectionEnd): HttpfstreamError {
  const { code, reason, error } = end;
  if (error instanceof StreamInterruptedError) return error;
  if (error instanceof FramingError) return connectionError(end);
  const text =
    code === CloseCode.abnormal
      ? `the connection broke before the end of the stream${error === undefined ? '' : `: ${error.message}`}`
      : `the stream was interrupted (close code ${code}${reason && `: ${reason}`})`;
  return new StreamInterruptedError(text, code, { cause: error });
}

/** Whether the server closed with a code that says that a retry would be refused, too. */
export function isRefusal({ code, error }: ConnectionEnd): boolean {
  return error === undefined && REFUSALS.includes(code);
}

/** The error for a connection that the server has ended because of the token; undefined for any other end. */
export function failureOfToken({
  code,
  reason,
  error,
}: ConnectionEnd): UnauthorizedError | ForbiddenRightError | undefined {
  if (error !== undefined) return undefined;
  if (code === CloseCode.unauthorized) return new UnauthorizedError(reason || 'the token has expired');
  return code === CloseCode.forbidden
    ? new ForbiddenRightError(reason || 'the right was taken away')
    : undefined;
}

/** The error for a connection whose end contradicts the `finished` before it; undefined when it does not. */
export function violationAfterFinished(end: ConnectionEnd): ConnectionError | ProtocolError | undefined {
  if (end.error instanceof FramingError) return connectionError(end);
  if (CODES_AFTER_FINISHED.includes(end.code)) return undefined;
  const close = `close code ${end.code}${end.reason && `: ${end.reason}`}`;
  return new ProtocolError(`the server called the stream finished, and closed it as broken (${close})`);
}
