import { describe, expect, it } from 'vitest';
import { kindOfFile, kindOfName } from '../../../src/server/viewer/page-kind.ts';

const BINARY = Buffer.of(0, 1, 2);
const NOTHING = Buffer.alloc(0);

const kindOf = (name: string, contentType: string, head: string | Buffer, isJsonStream = false) =>
  kindOfFile({ name, contentType, head: Buffer.from(head), isJsonStream });

describe('the kind of page', () => {
  it.each([
    ['a.log', 'text/plain; charset=utf-8', 'line\n', 'text'],
    ['coloured', 'text/plain', '\x1b[31mred', 'text'],
    ['empty', 'application/octet-stream', NOTHING, 'text'],
    ['sources.ts', 'video/mp2t', 'const a = 1;\n', 'text'],
    ['main.rs', 'application/rls-services+xml', 'fn main() {}\n', 'text'],
    ['run.sh', 'application/x-sh', '#!/bin/sh\n', 'text'],
    ['a.bin', 'application/octet-stream', BINARY, 'binary'],
    ['a.tar.gz', 'application/gzip', BINARY, 'binary'],
    ['dot.png', 'image/png', BINARY, 'image'],
    ['talk.mp3', 'audio/mpeg', BINARY, 'audio'],
    ['film.mp4', 'video/mp4', NOTHING, 'video'],
    ['a.ndjson', 'text/plain', '{}\n', 'records'],
    ['lines', 'application/x-ndjson', NOTHING, 'records'],
  ])('of %s, which is %s, is that of what is in it', (name, contentType, head, kind) => {
    expect(kindOf(name, contentType, head)).toBe(kind);
  });

  it('of a stream of JSON is that of records, and of a document of JSON that of one', () => {
    expect(kindOf('events', 'application/json', '{}\n', true)).toBe('records');
    expect(kindOf('package.json', 'application/json', '{}\n')).toBe('json');
    expect(kindOf('map', 'application/geo+json', '{}\n')).toBe('json');
    expect(kindOf('none.json', 'application/json', BINARY)).toBe('binary');
  });

  it.each([
    ['page.html', 'text/html; charset=utf-8', '<p>'],
    ['page.xhtml', 'application/xhtml+xml', ''],
    ['picture.svg', 'image/svg+xml', '\ufeff <svg/>'],
    ['feed.xml', 'text/xml', '<feed/>'],
    ['paper.pdf', 'application/pdf', BINARY],
  ])('of %s is none: a browser shows it by itself', (name, contentType, head) => {
    expect(kindOf(name, contentType, head)).toBeUndefined();
    expect(kindOfName(name)).toBeUndefined();
  });

  it('of what cannot be looked at is as its name says', () => {
    const kinds = ['42', '42.log', 'a.jsonl', 'dot.png', 'talk.mp3', 'film.mp4', 'a.json'].map(kindOfName);
    expect(kinds).toEqual(['text', 'text', 'records', 'image', 'audio', 'video', 'json']);
  });
});
