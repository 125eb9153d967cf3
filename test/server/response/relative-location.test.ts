import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { relativeLocation } from '../../../src/server/response/relative-location.ts';

/** Beyond the root everybody stops somewhere else. */
function staysBelowRoot(segments: readonly string[]): boolean {
  let depth = 0;
  return segments.every((segment) => {
    if (segment === '..') depth--;
    else if (segment !== '.') depth++;
    return depth >= 0;
  });
}

describe('a relative reference', () => {
  it.each([
    ['/d', '/d/', './d/'],
    ['/d/', '/d', '../d'],
    ['/a/d', '/a/d/', './d/'],
    ['//a', '/a', '../a'],
    ['/a//b', '/a/b', '../b'],
    ['/a/../b', '/b', './b'],
    ['/a/b/../c', '/a/c', './c'],
    ['/a/..', '/', '../'],
    ['/.', '/', './'],
    ['/a%2fb', '/a/b', './a/b'],
    ['/a/%2e%2e/b', '/b', '../../b'],
    ['//evil.example/..', '/', '../../'],
    ['//evil.example', '/evil.example', '../evil.example'],
    ['/files//f', '/files/f', '../f'],
    ['/files/../files/d', '/files/d/', './d/'],
  ])('leads from %s to %s: %s', (from, to, reference) => {
    expect(relativeLocation(from, to)).toBe(reference);
  });

  it('is resolved to the same path below every prefix that a proxy takes away, and never to another host', () => {
    const segment = fc.constantFrom('', '.', '..', 'a', 'b', 'evil.example', 'x:y', '%2f', 'a%2F..', '%5C');
    const last = fc.constantFrom('', 'a', 'x:y', 'evil.example');
    const name = fc.constantFrom('a', 'b', 'evil.example', 'x%3Ay', '%5C');
    const prefix = fc.constantFrom('', '/logs', '/a/b');
    fc.assert(
      fc.property(
        fc.array(segment),
        last,
        fc.array(name),
        fc.boolean(),
        prefix,
        (raw, end, names, isDirectory, before) => {
          fc.pre(staysBelowRoot(raw));
          const from = `/${[...raw, end].join('/')}`;
          const to = `/${names.map((part) => `${part}/`).join('')}${isDirectory ? '' : 'f'}`;
          const reference = relativeLocation(from, to);
          expect(reference).toMatch(/^\.\.?\//);
          const url = new URL(reference, `http://host${before}${from}`);
          expect(url.host + url.pathname).toBe(`host${before}${to}`);
        },
      ),
      { numRuns: 1000 },
    );
  });
});
