import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ForbiddenPathError, HttpfstreamError, InvalidPathError } from '../../src/wire/errors.ts';
import { ResourcePath } from '../../src/wire/resource-path.ts';
import { anyCharacter } from '../support/any-character.ts';

const clean = (decoded: string) => ResourcePath.parse(decoded).toString();

describe('a resource path', () => {
  it.each([
    ['', '/'],
    ['/', '/'],
    ['///', '/'],
    ['.', '/'],
    ['..', '/'],
    ['a/..', '/'],
    ['/a', '/a'],
    ['a', '/a'],
    ['a/b', '/a/b'],
    ['//a//b', '/a/b'],
    ['a/./b', '/a/b'],
    ['a/../b', '/b'],
    ['a/b/../../c', '/c'],
    ['../../a', '/a'],
    ['a/../../../b', '/b'],
    ['a/b/..', '/a'],
    ['a/', '/a/'],
    ['a//', '/a/'],
    ['a/b/../', '/a/'],
    ['a/./', '/a/'],
    ['a/.', '/a'],
  ])('cleans %j to %j', (decoded, expected) => {
    expect(clean(decoded)).toBe(expected);
  });

  it.each([
    'a\\b',
    '..\\..\\etc\\passwd',
    'a b',
    ' a ',
    'a+b',
    'a;b=c',
    'a%25b',
    '%2e%2e',
    '%2f',
    'é',
    '日本語',
    '🙂',
    'e\u0301',
    '.hidden',
    '..hidden',
    '...',
    '~',
    'C:',
    'a?b#c',
    '-rf',
    '\u0085',
    '\u200b',
  ])('takes %j literally', (name) => {
    expect(ResourcePath.parse(`/${name}`).segments).toEqual([name]);
  });

  it('tells a directory by its trailing slash, except for the root', () => {
    expect(ResourcePath.parse('a/')).toMatchObject({ segments: ['a'], trailingSlash: true, isRoot: false });
    expect(ResourcePath.parse('a')).toMatchObject({ segments: ['a'], trailingSlash: false, isRoot: false });
    expect(ResourcePath.parse('/')).toMatchObject({ segments: [], trailingSlash: false, isRoot: true });
    expect(ResourcePath.parse('a/../')).toMatchObject({ segments: [], trailingSlash: false, isRoot: true });
  });

  it.each(['\0', '\n', '\r', '\t', '\u001b', '\u001f', '\u007f'])(
    'refuses the control character %j',
    (character) => {
      for (const decoded of [character, `a${character}b`, `a/${character}/b`, `x/${character}/../y`]) {
        expect(() => ResourcePath.parse(decoded)).toThrow(InvalidPathError);
      }
    },
  );

  it('takes a name of 255 bytes and refuses a longer one, counted in UTF-8', () => {
    expect(clean('x'.repeat(255))).toHaveLength(256);
    expect(() => ResourcePath.parse('x'.repeat(256))).toThrow(InvalidPathError);
    expect(clean('é'.repeat(127))).toHaveLength(128);
    expect(() => ResourcePath.parse('é'.repeat(128))).toThrow(InvalidPathError);
    expect(() => ResourcePath.parse(`a/${'x'.repeat(256)}/b`)).toThrow(InvalidPathError);
  });

  it('refuses a path that no file system takes, although each name is short', () => {
    expect(() => ResourcePath.parse('ab/'.repeat(2000))).toThrow(InvalidPathError);
  });

  it.each([
    '.httpfstream',
    '/.httpfstream/',
    '.httpfstream/a/b',
    'x/../.httpfstream/a',
    './/.httpfstream',
    '.HttpfStream/a',
  ])('keeps %j for the server', (decoded) => {
    expect(() => ResourcePath.parse(decoded)).toThrow(ForbiddenPathError);
  });

  it.each(['a/.httpfstream', '.httpfstream2', 'httpfstream', '.httpfstream.txt', '.httpfstream/../a'])(
    'lets %j be addressed',
    (decoded) => {
      expect(() => ResourcePath.parse(decoded)).not.toThrow();
    },
  );

  it('never leads out of the root, whatever the input', () => {
    const piece = fc.oneof(
      fc.constantFrom('..', '.', '', '/', '\\', '%2e%2e', '..\\', '.httpfstream', '\0', '...', '~', 'C:'),
      fc.string({ unit: 'grapheme', maxLength: 6 }),
      fc.string({ unit: anyCharacter, maxLength: 6 }),
    );
    const input = fc
      .array(piece, { maxLength: 12 })
      .chain((pieces) => fc.constantFrom(pieces.join('/'), pieces.join(''), `/${pieces.join('/')}/`));
    fc.assert(
      fc.property(input, (decoded) => {
        let resource: ResourcePath;
        try {
          resource = ResourcePath.parse(decoded);
        } catch (error) {
          expect(error).toBeInstanceOf(HttpfstreamError);
          return;
        }
        const joined = path.join('/srv/root', ...resource.segments);
        expect(joined === '/srv/root' || joined.startsWith('/srv/root/')).toBe(true);
        expect(path.relative('/srv/root', joined).split('/')[0]).not.toBe('.httpfstream');
        expect(joined.split('/')).toHaveLength(3 + resource.segments.length);
      }),
      { numRuns: 400 },
    );
  });

  it('is clean already when it was cleaned once, and survives the way through a URL', () => {
    const input = fc.array(fc.oneof(fc.constantFrom('..', '.', ''), fc.string({ unit: 'grapheme' })), {
      maxLength: 8,
    });
    fc.assert(
      fc.property(input, (pieces) => {
        let resource: ResourcePath;
        try {
          resource = ResourcePath.parse(pieces.join('/'));
        } catch {
          return;
        }
        expect(ResourcePath.parse(resource.toString())).toEqual(resource);
        expect(decodeURIComponent(resource.toUrlPath())).toBe(resource.toString());
        expect(resource.toUrlPath()).toMatch(/^\/(?!\/)[\x21-\x7e]*$/);
      }),
      { numRuns: 400 },
    );
  });
});
