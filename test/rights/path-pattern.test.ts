import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PatternTree, parsePattern } from '../../src/rights/path-pattern.ts';
import { ResourcePath } from '../../src/wire/resource-path.ts';

/** Whether one of some patterns matches a path, as it is asked for a file or for a directory. */
function matches(patterns: readonly string[], text: string, isDirectory = false): boolean {
  const tree = new PatternTree<number>();
  for (const [i, pattern] of patterns.entries()) tree.add(pattern, i);
  return tree.some(ResourcePath.parse(text), isDirectory, () => true);
}

describe('a pattern', () => {
  test.each([
    ['/a', '/a'],
    ['/a', '//a/'],
    ['/a', '/x/../a'],
    ['/a/b.log', '/a/b.log'],
    ['/a/*', '/a/b'],
    ['/a/*.log', '/a/.log'],
    ['/a/*.log', '/a/b.log.log'],
    ['/a/b*b', '/a/bb'],
    ['/a/*b*c*', '/a/abcd'],
    ['/a/**', '/a/b'],
    ['/a/**', '/a/b/c/d'],
    ['/**', '/a'],
    ['/a/**/z', '/a/z'],
    ['/a/**/z', '/a/b/z/c/z'],
    ['/**/a/**', '/x/a/b'],
    ['/**/a/*/**/z', '/a/a/z/z'],
    ['/100%', '/100%'],
    ['/%61', '/%61'],
    ['/a b', '/a b'],
    ['/[x](y){z}!?+@', '/[x](y){z}!?+@'],
    ['/ä', '/ä'],
  ])('%s is for %s', (pattern, text) => {
    expect(matches([pattern], text)).toBe(true);
  });

  test.each([
    ['/a', '/b'],
    ['/a', '/'],
    ['/a', '/A'],
    ['/a', '/a/b'],
    ['/a/*', '/a'],
    ['/a/*', '/a/b/c'],
    ['/a/*.log', '/a/b.txt'],
    ['/a/b*b', '/a/b'],
    ['/a/ab*ba', '/a/aba'],
    ['/a/*b*c*', '/a/acb'],
    ['/a/*b*b', '/a/ab'],
    ['/a/*b*b*', '/a/abc'],
    ['/a/*bc*c', '/a/bc'],
    ['/a/*bc*c*', '/a/abcd'],
    ['/a/**', '/a'],
    ['/a/**', '/ab'],
    ['/a/**', '/a/../b'],
    ['/a/**', '/b/a/c'],
    ['/**/a/**', '/x/a'],
    ['/a/**/z', '/a/z/b'],
    ['/a/**/z', '/z'],
    ['/%61', '/a'],
    ['/[ab]', '/a'],
    ['/?', '/a'],
    ['/{a,b}', '/a'],
    ['/!a', '/b'],
    // The other way to write it in Unicode.
    ['/ä', '/a\u0308'],
  ])('%s is not for %s', (pattern, text) => {
    expect(matches([pattern], text)).toBe(false);
  });

  test.each([
    ['/a/**', '/a/', true],
    ['/a/**', '/a', true],
    ['/**', '/', true],
    ['/', '/', true],
    ['/a', '/a/', true],
    ['/a/*', '/a/', false],
    ['/a/**/b', '/a/', false],
    ['/a/**/b/**', '/a/b/', true],
    ['/a/**/**', '/a/', true],
    ['/a/**', '/', false],
  ])('%s is for the directory %s: %s', (pattern, text, isFor) => {
    expect(matches([pattern], text, true)).toBe(isFor);
  });

  test.each([
    ['', 'must begin with /'],
    ['a', 'must begin with /'],
    ['/a/', 'must not end with /'],
    ['//a', 'must not have empty names'],
    ['/a/../b', "must not have empty names, '.' or '..'"],
    ['/./b', "'.'"],
    ['/a**', "must have '**' only as a whole name"],
    ['/***', "must have '**' only as a whole name"],
    ['/**/a/**/b/**', "must have '**' at most 2 times"],
    ['/a\u0000', 'must not have control characters'],
  ])('%j is none', (text, why) => {
    expect(() => parsePattern(text)).toThrow(why);
  });
});

const NAMES = ['a', 'b', 'ab', 'ba', 'aab', 'public', '*', '**', '%2e%2e', 'a*'];

const PATTERN_NAMES = ['a', 'b', 'ab', '*', 'a*', '*b', 'a*b', '*a*', '*a*a*', '*a*b', 'public', '%2e%2e'];

/** What a pattern means, in the words of another engine. */
function expressionOf(pattern: string, isDirectory: boolean): RegExp {
  const names = parsePattern(pattern);
  const text = names.map((name, i) => {
    if (name !== '**') return `/${name.split('*').map(escaped).join('[^/]*')}`;
    return i === names.length - 1 && !isDirectory ? '(?:/[^/]+)+' : '(?:/[^/]+)*';
  });
  return new RegExp(`^${text.join('')}$`);
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

const anyPath = fc
  .array(fc.constantFrom(...NAMES, '', '.', '..'), { maxLength: 7 })
  .map((names) => `/${names.join('/')}`);

const anyPattern = fc
  .array(fc.constantFrom(...PATTERN_NAMES, '**'), { minLength: 1, maxLength: 6 })
  .filter((names) => names.filter((name) => name === '**').length <= 2)
  .map((names) => `/${names.join('/')}`);

describe('whatever the path and the patterns', () => {
  test('they mean what their names say, joined', () => {
    let hits = 0;
    fc.assert(
      fc.property(
        anyPath,
        fc.array(anyPattern, { maxLength: 8 }),
        fc.boolean(),
        (text, patterns, isDirectory) => {
          // As the system joins it.
          const joined = path.posix.resolve('/', `.${text}`);
          const key = joined === '/' ? '' : joined;
          const expected = patterns.some((pattern) => expressionOf(pattern, isDirectory).test(key));
          expect(matches(patterns, text, isDirectory)).toBe(expected);
          if (expected) hits++;
        },
      ),
      { numRuns: 3000 },
    );
    expect(hits).toBeGreaterThan(150);
  });

  test('what is allowed below a directory is below it', () => {
    fc.assert(
      fc.property(anyPath, (text) => {
        const file = path.posix.join('/root', path.posix.resolve('/', `.${text}`));
        expect(matches(['/public/**'], text)).toBe(file.startsWith('/root/public/'));
      }),
      { numRuns: 1000 },
    );
  });
});

describe('however many there are', () => {
  const tree = new PatternTree<number>();
  for (let i = 0; i < 10_000; i++) {
    tree.add([`/p${i}/builds/**`, `/p${i}/x-*/log`, `/p${i}/**/z`][i % 3] as string, i);
  }

  test.each([
    ['/p9999/builds/a/b', true],
    ['/p9997/x-1/log', true],
    ['/p9998/a/b/c/z', true],
    ['/p9998/a/b/c/y', false],
    ['/p10000/builds/a', false],
  ])('%s costs about as much as with one', (text, isFor) => {
    const resource = ResourcePath.parse(text);
    const begin = performance.now();
    for (let i = 0; i < 10_000; i++) {
      if (tree.some(resource, false, () => true) !== isFor) throw new Error('another answer');
    }
    // One after the other would be 10 s and more; in the tree it is some milliseconds.
    expect(performance.now() - begin).toBeLessThan(2000);
  });

  test('a path that is made to be long costs no more than its names', () => {
    const deep = new PatternTree<number>();
    for (let i = 0; i < 50; i++) deep.add(`/**/a/**/b${i}`, i);
    deep.add('/**/b', 50);
    const resource = ResourcePath.parse('/a'.repeat(1900));
    const begin = performance.now();
    for (let i = 0; i < 100; i++) expect(deep.some(resource, false, () => true)).toBe(false);
    // It does not run out of steps before it comes to the end.
    expect(deep.some(ResourcePath.parse(`${'/a'.repeat(1900)}/b`), false, () => true)).toBe(true);
    expect(performance.now() - begin).toBeLessThan(2000);
  });

  test('a look-up that is too long is a no', () => {
    const many = new PatternTree<number>();
    for (let i = 0; i < 30_000; i++) many.add(`/*x${i}*`, i);
    expect(many.some(ResourcePath.parse('/ax7b'), false, (value) => value === 7)).toBe(true);
    expect(many.some(ResourcePath.parse('/ax29999b'), false, (value) => value === 29_999)).toBe(false);
  });
});
