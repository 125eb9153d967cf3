import type { IncomingHttpHeaders } from 'node:http';
import { describe, expect, it } from 'vitest';
import { assertChangeable, assertUnchanged, isFresh } from '../../../src/server/response/conditions.ts';
import { LastModified } from '../../../src/server/response/last-modified.ts';
import { PreconditionFailedError } from '../../../src/wire/errors.ts';

const NOON_MS = Date.UTC(2026, 10, 28, 12);
const NOON = new Date(NOON_MS).toUTCString();
const BEFORE = new Date(NOON_MS - 1000).toUTCString();

const there = { etags: ['"a"', '"a,b"'], lastModified: new LastModified(NOON_MS, true, NOON_MS + 5000) };

/** Whether a request is refused by its conditions. */
function isRefused(check: () => void): boolean {
  try {
    check();
    return false;
  } catch (error) {
    expect(error).toBeInstanceOf(PreconditionFailedError);
    return true;
  }
}

describe('a client that means what it knows (RFC 9110, section 13.1)', () => {
  it.each<[IncomingHttpHeaders, boolean]>([
    [{ 'if-match': '*' }, false],
    [{ 'if-match': '"a"' }, false],
    [{ 'if-match': '"x", "a,b"' }, false],
    [{ 'if-match': '"x"' }, true],
    [{ 'if-match': 'W/"a"' }, true],
    [{ 'if-match': 'a' }, true],
    [{ 'if-unmodified-since': NOON }, false],
    [{ 'if-unmodified-since': BEFORE }, true],
    [{ 'if-unmodified-since': 'tomorrow' }, false],
    // A tag says more than a date.
    [{ 'if-match': '"a"', 'if-unmodified-since': BEFORE }, false],
    [{}, false],
  ])('and says so by %j is refused: %s', (headers, refused) => {
    expect(isRefused(() => assertUnchanged(headers, there))).toBe(refused);
  });

  it('says nothing by a date where no date tells', () => {
    const noDate = { etags: ['"a"'] };
    expect(isRefused(() => assertUnchanged({ 'if-unmodified-since': BEFORE }, noDate))).toBe(false);
    expect(isFresh({ 'if-modified-since': NOON }, noDate)).toBe(false);
  });
});

describe('a client that has a copy', () => {
  it.each<[IncomingHttpHeaders, boolean]>([
    [{ 'if-none-match': '"a"' }, true],
    [{ 'if-none-match': 'W/"a"' }, true],
    [{ 'if-none-match': '"x" , W/"a,b"' }, true],
    [{ 'if-none-match': '*' }, true],
    [{ 'if-none-match': '"b"' }, false],
    [{ 'if-modified-since': NOON }, true],
    [{ 'if-modified-since': BEFORE }, false],
    [{ 'if-none-match': '"x"', 'if-modified-since': NOON }, false],
    [{}, false],
  ])('which it names by %j need not get another: %s', (headers, fresh) => {
    expect(isFresh(headers, there)).toBe(fresh);
  });
});

describe('what is to be changed under a condition', () => {
  it.each<[IncomingHttpHeaders, boolean, boolean]>([
    [{ 'if-none-match': '*' }, true, false],
    [{ 'if-none-match': '"x"' }, false, false],
    [{ 'if-match': '*' }, false, true],
    [{ 'if-match': '"a"' }, false, true],
    [{ 'if-match': '"x"' }, true, true],
    [{ 'if-unmodified-since': BEFORE }, true, false],
    [{}, false, false],
  ])('%j is refused when it is there: %s, and when nothing is there: %s', (headers, isThere, isNot) => {
    expect(isRefused(() => assertChangeable(headers, there))).toBe(isThere);
    expect(isRefused(() => assertChangeable(headers, undefined))).toBe(isNot);
  });
});
