import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { hashOfToken, isToken, makeToken } from '../../src/rights/token.ts';

describe('a token', () => {
  test('begins with hfs_, and has letters and digits that nobody can guess', () => {
    const tokens = Array.from({ length: 100 }, makeToken);
    expect(new Set(tokens).size).toBe(100);
    for (const token of tokens) expect(token).toMatch(/^hfs_[0-9A-Za-z]{38}$/);
    // Each of them comes sooner or later: none of the alphabet is missing.
    const seen = new Set(tokens.flatMap((token) => [...token.slice(4, 36)]));
    expect(seen.size).toBe(62);
  });

  test('is recognised', () => {
    for (let i = 0; i < 100; i++) expect(isToken(makeToken())).toBe(true);
    // The sum of another implementation of CRC-32.
    expect(isToken(`hfs_${'A'.repeat(32)}1DCPx2`)).toBe(true);
    expect(isToken(`hfs_${'A'.repeat(29)}35900roF0`)).toBe(true);
  });

  test('is not when a character is another one, is missing or is too many', () => {
    const token = makeToken();
    for (let i = 0; i < token.length; i++) {
      const other = token[i] === 'x' ? 'y' : 'x';
      expect(isToken(token.slice(0, i) + other + token.slice(i + 1))).toBe(false);
      expect(isToken(token.slice(0, i) + token.slice(i + 1))).toBe(false);
    }
    for (const text of ['', 'hfs_', `${token}\n`, ` ${token}`, `${token}0`, token.toUpperCase()]) {
      expect(isToken(text)).toBe(false);
    }
  });

  test('is stored as its SHA-256', () => {
    const token = makeToken();
    const hash = createHash('sha256').update(token).digest('hex');
    expect(hashOfToken(token)).toBe(`sha256:${hash}`);
  });
});
