import { describe, expect, test } from 'vitest';
import { parseHeaders, parseOtherHeaders } from '../../src/cli/header-lines.ts';

describe('-H', () => {
  test.each([
    ['X-Name: value', { 'x-name': 'value' }],
    ['Cookie:a=b; c=d', { cookie: 'a=b; c=d' }],
    ['x-time:  12:30 ', { 'x-time': '12:30' }],
    ['X-Latin: é', { 'x-latin': 'é' }],
  ])('"%s" is a header', (line, headers) => {
    expect(parseHeaders([line], undefined)).toEqual({ headers });
  });

  test.each([
    'secret',
    '',
    ': secret',
    'a b: secret',
    'näme: secret',
    'x:',
    'x: ',
    'x: secret\r\ny: b',
    'x: a\nb',
    'x: \u0000',
    'x: 日本',
    'Host: secret',
    'Accept-Encoding: gzip',
    'connection: close',
    'UPGRADE: h2c',
    'Sec-WebSocket-Protocol: x',
    'sec-fetch-site: none',
    'Transfer-Encoding: secret',
    'Content-Length: 1',
    'X-Verb: APPEND',
    'Expect: 100-continue',
  ])('"%s" is none, and what it holds is not told', (line) => {
    const parsed = parseHeaders([line], undefined);
    expect(parsed).toHaveProperty('mistake');
    expect(JSON.stringify(parsed)).not.toContain('secret');
  });

  test('may not ask another server for what is coded either', () => {
    expect(parseOtherHeaders(['Accept-Encoding: gzip'])).toHaveProperty('mistake');
    expect(parseOtherHeaders(['X-Verb: a'])).toEqual({ headers: { 'x-verb': 'a' } });
  });

  test('may not say the same twice', () => {
    expect(parseHeaders(['a: 1', 'A: 2'], undefined)).toHaveProperty('mistake');
    expect(parseHeaders(['Authorization: Basic x'], 'token')).toHaveProperty('mistake');
  });
});

describe('--token', () => {
  test('is a header', () => {
    expect(parseHeaders([], 'abc.d-e_f~+/=')).toEqual({ headers: { authorization: 'Bearer abc.d-e_f~+/=' } });
  });

  test.each(['two words', 'line\n', 'tokén', '\u0000'])('"%s" is none, and is not told', (token) => {
    const parsed = parseHeaders([], token);
    expect(parsed).toHaveProperty('mistake');
    expect(JSON.stringify(parsed)).not.toContain(token);
  });
});
