import { describe, expect, test } from 'vitest';
import { parseAppendArguments, sourceName } from '../../../src/cli/append/append-arguments.ts';
import { fakeIo } from '../../support/programs/fake-io.ts';

const URL = 'http://host/a';

function parse(...argv: string[]) {
  const { io, stderr } = fakeIo();
  const args = parseAppendArguments(argv, io);
  return { args, stderr: stderr() };
}

test('standard input is appended unless something else is given', () => {
  expect(parse(URL).args).toMatchObject({
    url: URL,
    headers: {},
    source: { kind: 'stdin' },
    tee: false,
    resume: false,
    stallTimeoutMs: 30_000,
  });
});

describe('what is appended', () => {
  test.each([
    [['--from-file', 'x', '--from-file', 'y', URL], { kind: 'files', paths: ['x', 'y'] }, 'x, y'],
    [
      ['--from-url', 'http://me:secret@other/b', URL],
      {
        kind: 'url',
        url: 'http://other/b',
        headers: { authorization: 'Basic bWU6c2VjcmV0' },
        method: 'GET',
        data: undefined,
        allowUnframed: false,
        once: false,
      },
      'http://other/b',
    ],
    [
      [URL, '--', 'make', '-j4', '--', '--tee'],
      { kind: 'command', argv: ['make', '-j4', '--', '--tee'], lingerMs: 2000, pty: false },
      '`make -j4 -- --tee`',
    ],
    [
      ['--linger=0.5', URL, '--', 'make'],
      { kind: 'command', argv: ['make'], lingerMs: 500, pty: false },
      '`make`',
    ],
    [['--pty', URL, '--', 'make'], { kind: 'command', argv: ['make'], lingerMs: 2000, pty: true }, '`make`'],
  ])('by %j is %j', (argv, source, name) => {
    const { args } = parse(...argv);
    if (typeof args === 'number') expect.unreachable();
    expect(args.source).toEqual(source);
    expect(sourceName(args.source)).toBe(name);
  });

  test('of a server that has user and password is not sent to the other one', () => {
    expect(parse('--token', 't', '--from-url', 'http://other/b', URL).args).toMatchObject({
      headers: { authorization: 'Bearer t' },
      source: { headers: {} },
    });
  });
});

test.each([
  [[]],
  [['ftp://host/a']],
  [['http://host/']],
  [['http://host/', '--', 'make']],
  [['--from-file', 'x', '--from-file', 'y', 'http://host/']],
  [['--from-file', 'x', '--from-url', 'http://other/b', URL]],
  [['--from-file', 'x', URL, '--', 'make']],
  [['--from-url', 'other', URL]],
  [['--resume', URL]],
  [['--resume', URL, '--', 'make']],
  [['--allow-unframed', URL]],
  [['--once', URL]],
  [['-X', 'POST', URL]],
  [['-d', 'x', URL]],
  [['-d', 'x', URL, '--', 'make']],
  [['-X', 'GET', '-d', 'x', '--from-url', 'http://other/b', URL]],
  [['-X', 'HEAD', '--from-url', 'http://other/b', URL]],
  [['-X', 'CONNECT', '--from-url', 'http://other/b', URL]],
  [['-X', 'a b', '--from-url', 'http://other/b', URL]],
  [['-d', '@-', '-d', '@-', '--from-url', 'http://other/b', URL]],
  [['-d', 'x', '-H', 'Host: secret', '--from-url', 'http://other/b', URL]],
  [['-d', 'x', '-H', 'secret', '--from-url', 'http://other/b', URL]],
  [['--resume', '-d', 'x', '--from-url', 'http://other/b', URL]],
  [['--resume', '--once', '--from-url', 'http://other/b', URL]],
  [['--once', '--from-url', 'http://other/b', 'http://host/']],
  [['--linger', '1', URL]],
  [['--pty', URL]],
  [['--pty', '--linger', '1', URL, '--', 'make']],
  [['--stall-timeout', '0', URL]],
  [[URL, '--']],
])('%j is wrong usage, which one line tells', (argv) => {
  const { args, stderr } = parse(...argv);
  expect(args).toBe(2);
  expect(stderr).toMatch(/^httpfstream-append: .+\n$/);
  expect(stderr).not.toContain('secret');
});
