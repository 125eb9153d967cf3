import type { IncomingMessage } from 'node:http';
import { expect, it } from 'vitest';
import { headWithoutUpgrade } from '../../../../src/server/node/requests/request-head.ts';

function headOf(rawHeaders: string[], others: Partial<IncomingMessage> = {}): string | undefined {
  const request = { method: 'PUT', url: '/a', httpVersion: '1.1', rawHeaders, ...others };
  return headWithoutUpgrade(request as IncomingMessage)?.toString('latin1');
}

it.each([
  ['what asks for an upgrade goes', ['Upgrade', 'h2c', 'HTTP2-Settings', 'AAMA', 'A', 'b'], 'A: b\r\n'],
  [
    'an option of Connection that is left stays',
    ['connection', 'close,UPGRADE , x'],
    'connection: close, x\r\n',
  ],
  ['a Connection without options goes', ['Connection', 'Upgrade, http2-settings'], ''],
  ['an empty field stays', ['A', '', 'Connection', ''], 'A: \r\nConnection: \r\n'],
  ['order, case and repetition stay', ['B', '1', 'a', '2', 'B', '3'], 'B: 1\r\na: 2\r\nB: 3\r\n'],
  ['bytes above ASCII and tabs stay', ['A', 'caf\xe9\t\xff'], 'A: caf\xe9\t\xff\r\n'],
])('%s', (_what, rawHeaders, fields) => {
  expect(headOf(rawHeaders)).toBe(`PUT /a HTTP/1.1\r\n${fields}\r\n`);
});

it.each([
  ['a line end in a value', ['A', 'b\r\nContent-Length: 5']],
  ['a line feed in a value', ['A', 'b\nC: d']],
  ['a carriage return in a value', ['A', 'b\rC: d']],
  ['a carriage return in Connection', ['Connection', 'Upgrade, close\r\nA: b']],
  ['a NUL in a value', ['A', 'b\0']],
  ['a control character in a value', ['A', 'b\x01']],
  ['what no byte stands for', ['A', '\u010a']],
  ['a space in a name', ['Upgrade ', 'h2c']],
  ['a line end in a name', ['A\r\nB', 'c']],
  ['an empty name', ['', 'c']],
])('%s makes it undefined', (_what, rawHeaders) => {
  expect(headOf(rawHeaders)).toBeUndefined();
});

it.each(['/a b', '/a\r\nB: c', '/a\tb', '', '/\0'])('the target %j makes it undefined', (url) => {
  expect(headOf([], { url })).toBeUndefined();
});
