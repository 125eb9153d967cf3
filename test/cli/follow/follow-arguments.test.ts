import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { parseFollowArguments } from '../../../src/cli/follow/follow-arguments.ts';
import { fakeIo } from '../../support/programs/fake-io.ts';

const URL = 'http://host/a';

function parse(...argv: string[]) {
  const { io, stderr } = fakeIo();
  const args = parseFollowArguments(argv, io);
  return { args, stderr: stderr() };
}

test('one URL is followed from its beginning to its end, to standard output', () => {
  expect(parse(URL).args).toMatchObject({
    servers: [{ url: URL, headers: {} }],
    start: {},
    waitSeconds: undefined,
    again: false,
    file: undefined,
    passesStatus: false,
  });
});

test('a URL that is given twice is followed once', () => {
  expect(parse(URL, 'http://host/b', URL).args).toMatchObject({
    servers: [{ url: URL }, { url: 'http://host/b' }],
  });
});

test('each server gets its own user and password', () => {
  expect(parse('http://me:secret@host/a', URL).args).toMatchObject({
    servers: [
      { url: URL, headers: { authorization: 'Basic bWU6c2VjcmV0' } },
      { url: URL, headers: {} },
    ],
  });
});

test.each([['--token', 'secret'], ['--token-file', 'file'], []])(
  'a token is for one server (%s)',
  (...option) => {
    vi.stubEnv('HTTPFSTREAM_TOKEN', option.length > 0 ? '' : 'secret');
    onTestFinished(() => void vi.unstubAllEnvs());
    for (const other of ['https://host/a', 'http://host:8080/a', 'http://other/a', 'ws://other/a']) {
      const { args, stderr } = parse(...option, URL, other);
      expect(args, other).toBe(2);
      expect(stderr).toContain('a token is for one server');
      expect(stderr).not.toContain('secret');
    }
    expect(parse(...option, URL, 'ws://host:80/b').args).toMatchObject({ servers: [{}, {}] });
    // What is said to each of them is.
    const header = ['-H', 'Authorization: Bearer x'];
    if (option.length === 0)
      expect(parse(...header, URL, 'http://other/a').args).toMatchObject({ servers: [{}, {}] });
  },
);

describe('it begins', () => {
  test.each([
    [['-n', '20'], { lines: 20 }],
    [['-n', '0'], { lines: 0 }],
    [['-n', '+3'], { from: 0, skipLines: 2 }],
    [['-n', '+0'], { from: 0, skipLines: 0 }],
    [['-20'], { lines: 20 }],
    [['-c', '20'], { from: -20 }],
    [['-c', '0'], { lines: 0 }],
    [['-c', '+3'], { from: 2 }],
    [['-c', '+0'], { from: 0 }],
    [['--from', '20'], { from: 20 }],
    [['--from', '-20'], { from: -20 }],
    [['--from=-0'], { from: 0 }],
  ])('with %j at %j', (options, start) => {
    expect(parse(...options, URL).args).toMatchObject({ start });
  });

  test('nowhere before the first line, and says so', () => {
    expect(parse('-n', '-3', URL)).toMatchObject({
      args: 2,
      stderr: expect.stringContaining('not negative'),
    });
  });

  test.each([
    ['-n', 'x'],
    ['--from', '-1.5'],
    ['-c', '1.5'],
    ['--from', '+1'],
    ['--from', '99999999999999999999'],
  ])('nowhere with %s %s', (...options) => {
    expect(parse(...options, URL)).toMatchObject({
      args: 2,
      stderr: expect.stringContaining('whole number'),
    });
  });
});

describe('it waits', () => {
  test.each([
    ['--wait', 3600],
    ['-wait', 3600],
    ['--wait=5', 5],
    ['--wait=0.5', 0.5],
  ])('with %s %d s', (option, waitSeconds) => {
    expect(parse(option, URL).args).toMatchObject({ waitSeconds, servers: [{ url: URL }] });
  });

  test('not for a number that stands alone, and says how to give it', () => {
    expect(parse('--wait', '5', URL)).toEqual({
      args: 2,
      stderr: 'httpfstream-follow: 5 is no URL: the time to wait is given as --wait=5\n',
    });
  });
});

test.each([
  [[]],
  [['http://host/']],
  [['http://host/*.log']],
  [['ftp://host/a']],
  [['-o', 'file', URL, 'http://host/b']],
  [['-o', 'file', '-n', '1', URL]],
  [['-n', '1', '-c', '1', URL]],
  [['-F', '--wait', URL]],
  [['-F', '--exit-status', URL]],
])('%j is wrong usage, which one line tells', (argv) => {
  const { args, stderr } = parse(...argv);
  expect(args).toBe(2);
  expect(stderr).toMatch(/^httpfstream-follow: .+\n$/);
});
