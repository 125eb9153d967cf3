import { describe, expect, test } from 'vitest';
import { continuationUrl, initialUrl, requestedPosition } from '../../../src/client/session/follow-url.ts';

const BARE = new URL('https://host/a');

test.each([
  [{}, 0, ''],
  [{ from: 0 }, 0, '?from=0'],
  [{ from: -5, generation: 7, hold: 60 }, 0, '?from=-5&generation=7&hold=60'],
  [{ lines: 10 }, 0, '?lines=10'],
  [{}, 1, '?wait=1'],
  [{}, 1001, '?wait=2'],
  [{}, -1, ''],
])('a follower with %j and %d ms to wait begins with "%s"', (options, waitMs, query) => {
  expect(initialUrl(BARE, options, waitMs).href).toBe(`https://host/a${query}`);
});

test('options win over parameters of the URL, and other parameters stay', () => {
  const url = new URL('https://host/a?from=1&key=k');
  expect(initialUrl(url, { from: 2 }, 0).search).toBe('?from=2&key=k');
  expect(url.search).toBe('?from=1&key=k');
});

describe('a follower resumes', () => {
  test('at its position in its file', () => {
    expect(continuationUrl(BARE, 3, 7, undefined).search).toBe('?from=3&generation=7');
    expect(continuationUrl(BARE, 3, undefined, 60).search).toBe('?from=3&hold=60');
  });

  test('without what the URL asked for at the beginning only', () => {
    const url = new URL('https://host/a?lines=5&wait=9&generation=1&from=2&key=k');
    expect(continuationUrl(url, 3, undefined, undefined).search).toBe('?from=3&key=k');
    expect(url.searchParams.get('lines')).toBe('5');
  });
});

test.each([
  ['', {}, 0],
  ['', { from: 5 }, 5],
  ['', { from: -5 }, undefined],
  ['', { lines: 5 }, undefined],
  ['?from=3', {}, undefined],
  ['?lines=3', {}, undefined],
  ['?lines=3', { from: 5 }, 5],
])('with "%s" and %j the server must begin at %s', (query, options, position) => {
  expect(requestedPosition(new URL(query, BARE), options)).toBe(position);
});
