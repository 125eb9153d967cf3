import { describe, expect, test, vi } from 'vitest';
import { StoredAnswer } from '../../../src/relay/copies/stored-answer.ts';

const URL_ = new URL('http://h/f');

const FRAMED = { 'content-length': '4' };

function kept(headers: Record<string, string>, status = 200): StoredAnswer | string {
  return StoredAnswer.of(URL_, { status, headers: { ...FRAMED, ...headers } });
}

const dateBefore = (ms: number) => new Date(Date.now() - ms).toUTCString();

describe('an answer', () => {
  test.each<[string, Record<string, string>]>([
    ['that says nothing', {}],
    ['that must be looked at each time', { 'cache-control': 'no-cache' }],
    ['for everybody', { 'cache-control': 'public, max-age=3' }],
    ['in chunks', { 'transfer-encoding': 'chunked' }],
    ['that has a cookie, and is for everybody', { 'set-cookie': 'a=b', 'cache-control': 's-maxage=3' }],
    ['that differs by codings only', { vary: 'Accept-Encoding' }],
  ])('%s is kept', (_name, headers) => {
    expect(kept(headers)).toBeInstanceOf(StoredAnswer);
  });

  test.each<[string, Record<string, string>, string, number?]>([
    ['that is not to be stored', { 'cache-control': 'no-store' }, 'Cache-Control'],
    ['that is not to be stored, in capitals', { 'cache-control': 'max-age=9, No-Store' }, 'Cache-Control'],
    ['for one reader', { 'cache-control': 'private' }, 'Cache-Control'],
    ['for one reader, in capitals', { 'cache-control': 'Private, max-age=9' }, 'Cache-Control'],
    ['that is coded', { 'content-encoding': 'gzip' }, 'coded'],
    ['that differs by what is asked', { vary: 'Accept' }, 'Vary'],
    ['that is framed in another way than by chunks', { 'transfer-encoding': 'gzip, chunked' }, 'whole'],
    ['that has a cookie for one reader', { 'set-cookie': 'a=b' }, 'Set-Cookie'],
    ['that differs by whatever it is', { vary: '*' }, 'Vary'],
    ['that is none', {}, 'HTTP status 404', 404],
    ['that is a part', {}, 'HTTP status 206', 206],
  ])('%s is not, and it is told why', (_name, headers, why, status = 200) => {
    expect(kept(headers, status)).toContain(why);
  });

  test('without an end of its own is not', () => {
    expect(StoredAnswer.of(URL_, { status: 200, headers: {} })).toContain('whole');
  });

  test('is the same one after it was written down', () => {
    const answer = kept({ 'cache-control': 'max-age=60', etag: '"a"', 'x-own': 'yes' }) as StoredAnswer;
    const again = StoredAnswer.from(URL_, JSON.parse(JSON.stringify(answer.record))) as StoredAnswer;
    expect(again.isFresh).toBe(true);
    expect(again.headers).toMatchObject({ etag: '"a"', 'x-own': 'yes' });
    expect(again.hasBytesOf(answer)).toBe(true);
  });

  test('that makes no sense any more is none', () => {
    expect(StoredAnswer.from(URL_, {} as never)).toBeUndefined();
  });

  test('is fresh for as long as it says', () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    try {
      const answer = kept({ 'cache-control': 'max-age=60' }) as StoredAnswer;
      expect(answer.isFresh).toBe(true);
      vi.setSystemTime(Date.now() + 61_000);
      expect(answer.isFresh).toBe(false);
      const later = answer.revalidated({ headers: {} }) as StoredAnswer;
      expect(later.isFresh).toBe(true);
    } finally {
      vi.useRealTimers();
    }
  });

  test('is as fresh when that is said in capitals', () => {
    expect((kept({ 'cache-control': 'Max-Age=60' }) as StoredAnswer).isFresh).toBe(true);
    expect((kept({ 'cache-control': 'max-age=60, No-Cache' }) as StoredAnswer).isFresh).toBe(false);
    expect((kept({ pragma: 'No-Cache' }) as StoredAnswer).trustedMs).toBe(0);
    expect((kept({ 'cache-control': 's-maxage=0', etag: '"a"' }) as StoredAnswer).trustedMs).toBe(0);
    expect((kept({ 'cache-control': 'public', etag: '"a"' }) as StoredAnswer).trustedMs).toBe(1000);
  });

  test('is not younger than new, whatever it says and however the clock is put', () => {
    const answer = kept({ 'cache-control': 'max-age=60', age: '-5' }) as StoredAnswer;
    expect(answer.headers.age).toBe('0');
    vi.useFakeTimers({ toFake: ['Date'] });
    try {
      vi.setSystemTime(Date.now() - 3_600_000);
      expect(answer.headers.age).toBe('0');
      expect(answer.isFresh).toBe(false);
    } finally {
      vi.useRealTimers();
    }
  });

  test('is kept without what is about the connection', () => {
    const answer = kept({ connection: 'close, X-Hop', 'x-hop': 'yes', 'x-own': 'yes' }) as StoredAnswer;
    expect(Object.keys(answer.headers)).not.toContain('x-hop');
    expect(answer.headers).toMatchObject({ 'x-own': 'yes' });
  });

  test('that does not say is not fresh, however old it is', () => {
    const answer = kept({ 'last-modified': dateBefore(100 * 24 * 3_600_000) }) as StoredAnswer;
    expect(answer.isFresh).toBe(false);
  });

  test('is asked for with what tells it from others', () => {
    const date = dateBefore(100_000);
    expect((kept({ etag: 'W/"a"', 'last-modified': date }) as StoredAnswer).conditions).toEqual({
      'if-none-match': 'W/"a"',
      'if-modified-since': date,
    });
  });
});

describe('its bytes are told from all others', () => {
  test.each<[string, Record<string, string>, string | undefined]>([
    ['by a strong entity tag', { etag: '"a"' }, '"a"'],
    ['not by a weak one', { etag: 'W/"a"', 'last-modified': dateBefore(100_000) }, undefined],
    ['by nothing', {}, undefined],
    ['not by a date of less than a minute ago', { 'last-modified': dateBefore(10_000) }, undefined],
    ['not by what is no date', { 'last-modified': 'yesterday' }, undefined],
  ])('%s', (_name, headers, validator) => {
    expect((kept({ date: dateBefore(0), ...headers }) as StoredAnswer).strongValidator).toBe(validator);
  });

  test('by an older date', () => {
    const date = dateBefore(100_000);
    expect((kept({ date: dateBefore(0), 'last-modified': date }) as StoredAnswer).strongValidator).toBe(date);
  });
});

test.each([
  ['', true],
  ['max-age=1', true],
  ['max-age=1, must-revalidate', false],
  ['no-cache', false],
  ['s-maxage=3', false],
  ['proxy-revalidate', false],
])('with "%s" it may be served when nobody can be asked: %s', (control, mayBeStale) => {
  expect((kept(control === '' ? {} : { 'cache-control': control }) as StoredAnswer).mayBeStale).toBe(
    mayBeStale,
  );
});
