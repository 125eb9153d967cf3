import {
  ConnectionLostError,
  FramingError,
  type HttpfstreamError,
  ProtocolError,
  RangeNotSatisfiableError,
  ResourceGoneError,
  ResourceNotFoundError,
  StreamInterruptedError,
  StreamTruncatedError,
} from '../wire/errors.ts';
import { CloseCode, type EndMessage, type EndReason } from '../wire/protocol.ts';
import { type ConnectionEnd, connectionError } from './connection/connection-end.ts';

/** The error of a stream that broke for good. */
export function interrupted(message: string, cause?: Error): StreamInterruptedError {
  return new StreamInterruptedError(message, CloseCode.abnormal, { cause });
}

/** The error for a stream that the server ended for another reason than that it was finished. */
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
 * What contradicts itself in an end that the server tells; undefined when nothing does.
 *
 * @param position where the stream is; undefined when it has not begun
 */
export function breachOfEnd(end: EndMessage, position: number | undefined): ProtocolError | undefined {
  if (end.reason === 'missing' || end.reason === 'shutdown') return undefined;
  if (position === undefined && end.reason === 'finished')
    return new ProtocolError('the stream ended before it began');
  if (position === undefined || end.position === position) return undefined;
  return new ProtocolError(`the stream ended at ${end.position}, but came to ${position}`);
}

/** The error for who does not try any more to go on. A breach of the protocol speaks for itself. */
export function failureOfRetry(message: string, cause: HttpfstreamError): HttpfstreamError {
  if (cause instanceof ProtocolError) return cause;
  return new ConnectionLostError(`${message}: ${cause.message}`, { cause });
}

/** The error for a stream of a legacy server, which tells its end by close codes only. */
export function failureOfClose(end: ConnectionEnd): HttpfstreamError {
  const { code, reason, error } = end;
  if (error instanceof FramingError) return connectionError(end);
  const text =
    code === CloseCode.abnormal
      ? `the connection broke before the end of the stream${error === undefined ? '' : `: ${error.message}`}`
      : `the stream was interrupted (close code ${code}${reason && `: ${reason}`})`;
  return new StreamInterruptedError(text, code, { cause: error });
}

/** The reason that an error stands for, if it is one of a stream's end. */
export function reasonOf(error: HttpfstreamError): EndReason | undefined {
  if (error instanceof StreamInterruptedError) return 'interrupted';
  if (error instanceof ResourceGoneError) return 'deleted';
  return error instanceof StreamTruncatedError ? 'truncated' : undefined;
}

/** What a refusal means to one who has followed already. */
export function failureOfResume(error: HttpfstreamError): HttpfstreamError {
  if (error instanceof RangeNotSatisfiableError)
    return new StreamTruncatedError('the file was cut', { cause: error });
  return error;
}
