import { expect, test } from 'vitest';
import { exitCodeOf } from '../../../src/cli/follow/follow-once.ts';
import * as errors from '../../../src/wire/errors.ts';

test.each([
  ['the appender was lost', new errors.StreamInterruptedError('', 1011), 3],
  ['the file was deleted', new errors.ResourceGoneError(''), 4],
  ['the file was cut', new errors.StreamTruncatedError(''), 4],
  ['the own connection was lost for good', new errors.ConnectionLostError(''), 5],
  ['there never was a connection', new errors.ConnectionError(''), 1],
  ['the server broke the protocol', new errors.ProtocolError(''), 1],
  ['there is no file', new errors.ResourceNotFoundError(''), 1],
  ['the output failed', new Error(''), 1],
])('when %s the exit code says so', (_, error, exitCode) => {
  expect(exitCodeOf(error)).toBe(exitCode);
});
