import { expect, test } from 'vitest';
import { bodyEndOf } from '../../../src/client/connection/body-end.ts';

test.each([
  ['told', 'its length', 200, '1.1', { 'content-length': '5' }],
  ['told', 'its length, in HTTP/1.0', 200, '1.0', { 'content-length': '0' }],
  ['told', 'its last chunk', 200, '1.1', { 'transfer-encoding': 'chunked' }],
  ['told', 'the last chunk of what was compressed', 200, '1.1', { 'transfer-encoding': 'gzip, Chunked ' }],
  ['told', 'its status', 204, '1.1', {}],
  ['unknown', 'the end of the connection', 200, '1.1', {}],
  ['unknown', 'that, behind an encoding without chunks', 200, '1.1', { 'transfer-encoding': 'gzip' }],
  ['presumed', 'that, in HTTP/1.0', 200, '1.0', {}],
])('the end of a body is %s by %s', (end, _, statusCode, httpVersion, headers) => {
  expect(bodyEndOf({ statusCode, httpVersion, headers })).toBe(end);
});
