import { describe, expect, test } from 'vitest';
import type { ConnectionEnd } from '../../../src/client/session/connection.ts';
import * as failure from '../../../src/client/session/stream-failure.ts';
import * as errors from '../../../src/wire/errors.ts';
import type { EndMessage } from '../../../src/wire/protocol.ts';

function end(reason: EndMessage['reason'], more: Partial<EndMessage> = {}): EndMessage {
  return { type: 'end', position: 3, reason, ...more };
}

function closed(code: number, reason = '', error?: Error): ConnectionEnd {
  return { code, reason, isBetweenMessages: true, error };
}

const FRAMING = new errors.FramingError('a frame is masked', 1002);

describe('an end that the server tells', () => {
  test.each([
    ['deleted', errors.ResourceGoneError, 'the file was deleted'],
    ['truncated', errors.StreamTruncatedError, 'the file was cut'],
    ['missing', errors.ResourceNotFoundError, 'file does not exist'],
    ['interrupted', errors.StreamInterruptedError, 'the stream was interrupted: the appender was lost'],
  ] as const)('%s is an error', (reason, type, message) => {
    const error = failure.failureOfEnd(end(reason));
    expect(error).toBeInstanceOf(type);
    expect(error.message).toBe(message);
  });

  test.each([
    ['deleted', 'moved away'],
    ['truncated', 'moved away'],
    ['interrupted', 'the stream was interrupted: moved away'],
  ] as const)('%s says why, where the server does', (reason, message) => {
    expect(failure.failureOfEnd(end(reason, { detail: 'moved away' })).message).toBe(message);
  });

  test.each([
    ['finished', 3, undefined],
    ['finished', 2, 'the stream ended at 3, but came to 2'],
    ['finished', undefined, 'the stream ended before it began'],
    ['deleted', 2, 'the stream ended at 3, but came to 2'],
    ['deleted', undefined, undefined],
    ['shutdown', 2, undefined],
    ['missing', undefined, undefined],
  ] as const)('%s at 3 is held against the position %s', (reason, position, message) => {
    expect(failure.violationInEnd(end(reason), position)?.message).toBe(message);
  });
});

describe('a connection that ended', () => {
  const known = new errors.ConnectionError('nobody listens there');
  const system = new Error('read ECONNRESET');

  test.each([
    [closed(1006, '', known), errors.ConnectionError, 'nobody listens there'],
    [closed(1006, '', system), errors.ConnectionError, 'read ECONNRESET'],
    [closed(1002, '', FRAMING), errors.ProtocolError, 'a frame is masked'],
    [closed(1006), errors.ConnectionError, 'the connection broke'],
    [closed(1001), errors.ConnectionError, 'the server closed the connection (close code 1001)'],
    [
      closed(1012, 'restart'),
      errors.ConnectionError,
      'the server closed the connection (close code 1012: restart)',
    ],
  ])('(%#) is told', (ended, type, message) => {
    const error = failure.connectionError(ended);
    expect(error).toBeInstanceOf(type);
    expect(error.message).toBe(message);
  });

  test.each([
    [closed(1006), 1006, 'the connection broke before the end of the stream'],
    [closed(1006, '', system), 1006, 'the connection broke before the end of the stream: read ECONNRESET'],
    [closed(1001), 1001, 'the stream was interrupted (close code 1001)'],
    [closed(1011, 'disk'), 1011, 'the stream was interrupted (close code 1011: disk)'],
  ])('(%#) is the end of a stream of a legacy server', (ended, closeCode, message) => {
    expect(failure.failureOfClose(ended)).toMatchObject({
      code: 'HFS_STREAM_INTERRUPTED',
      closeCode,
      message,
    });
  });

  test('because of its frames violates the protocol, whichever server it was', () => {
    expect(failure.failureOfClose(closed(1006, '', FRAMING))).toBeInstanceOf(errors.ProtocolError);
    expect(failure.violationAfterFinished(closed(1000, '', FRAMING))).toBeInstanceOf(errors.ProtocolError);
  });

  test.each([1000, 1001, 1005, 1006, 1011, 1012])('with %d may be another one the next time', (code) => {
    expect(failure.isRefusal(closed(code))).toBe(false);
  });

  test.each([1002, 1003, 1007, 1008, 1009])('with %d is refused the next time, too', (code) => {
    expect(failure.isRefusal(closed(code))).toBe(true);
    expect(failure.isRefusal(closed(code, '', system))).toBe(false);
  });

  test.each([1000, 1001, 1005, 1006, 1012])('with %d may follow a finished stream', (code) => {
    expect(failure.violationAfterFinished(closed(code))).toBeUndefined();
  });

  test.each([1002, 1011, 4000])('with %d contradicts a finished stream', (code) => {
    expect(failure.violationAfterFinished(closed(code, 'why'))?.message).toBe(
      `the server called the stream finished, and closed it as broken (close code ${code}: why)`,
    );
  });
});

test('a stream without attempts left has lost its connection, or met a server that violates the protocol', () => {
  const cut = new errors.ConnectionError('cut');
  const lost = failure.failureOfRetry('lost for good', cut);
  expect(lost).toBeInstanceOf(errors.ConnectionLostError);
  expect(lost).toMatchObject({ message: 'lost for good: cut', cause: cut });
  const violation = new errors.ProtocolError('twice');
  expect(failure.failureOfRetry('lost for good', violation)).toBe(violation);
});

test('a file that no longer reaches to where a follower was is cut', () => {
  const refusal = new errors.RangeNotSatisfiableError('HTTP status 416');
  expect(failure.failureOfResume(refusal)).toMatchObject({ code: 'HFS_STREAM_TRUNCATED', cause: refusal });
  const gone = new errors.ResourceGoneError('deleted');
  expect(failure.failureOfResume(gone)).toBe(gone);
});

test.each([
  [failure.interrupted('lost'), 'interrupted'],
  [new errors.ResourceGoneError('deleted'), 'deleted'],
  [new errors.StreamTruncatedError('cut'), 'truncated'],
  [new errors.ConnectionLostError('lost'), undefined],
])('(%#) the reason of an end is known by its error', (error, reason) => {
  expect(failure.endReasonOf(error)).toBe(reason);
});
