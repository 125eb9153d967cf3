import { readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { runServer } from '../../../src/cli/server/run-server.ts';
import { hashOfToken, isToken } from '../../../src/rights/token.ts';
import { runHere } from '../../support/programs/command.ts';
import { temporaryDirectory } from '../../support/server/server.ts';

afterEach(() => void vi.unstubAllEnvs());

const newFile = async () => path.join(await temporaryDirectory(), 'auth.json');

const token = (...argv: string[]) => runHere(runServer, ['token', ...argv]);

const contentOf = async (file: string) => JSON.parse(await readFile(file, 'utf8'));

describe('token add', () => {
  test('shows the token once, and writes its hash', async () => {
    const file = await newFile();
    const { exit, stdout, stderr } = await token(
      'add',
      'ci',
      '-auth',
      file,
      '-rights=append,follow',
      '--paths',
      '/builds/**, /x',
      '--paths=/y',
    );
    expect([exit, stderr]).toEqual([
      0,
      `ci was added to ${file}. This is its token, which is not shown again:\n`,
    ]);
    const made = stdout.trimEnd();
    expect(isToken(made)).toBe(true);
    expect(await contentOf(file)).toEqual({
      tokens: [
        {
          name: 'ci',
          hash: hashOfToken(made),
          rules: [{ rights: ['append', 'follow'], paths: ['/builds/**', '/x', '/y'] }],
        },
      ],
    });
    expect((await stat(file)).mode & 0o777).toBe(0o600);
  });

  test.each([
    ['90s', 90_000],
    ['30m', 1_800_000],
    ['12h', 43_200_000],
    ['30d', 2_592_000_000],
    ['2w', 1_209_600_000],
  ])('--expires %s counts from now', async (expires, ms) => {
    const file = await newFile();
    const before = Date.now();
    expect((await token('add', 'a', '--auth', file, '--rights', 'admin', '--expires', expires)).exit).toBe(0);
    const [entry] = (await contentOf(file)).tokens;
    expect(Date.parse(entry.expires) - ms).toSatisfy((at: number) => at >= before && at <= Date.now());
  });

  test('--expires may be a date; the file may be named in the environment', async () => {
    const file = await newFile();
    vi.stubEnv('HTTPFSTREAM_AUTH', file);
    await token('add', 'a', '--rights', 'admin', '--expires', '2100-01-31T12:00:00+01:00');
    expect((await contentOf(file)).tokens).toMatchObject([
      { expires: '2100-01-31T11:00:00.000Z', rules: [{ rights: ['admin'] }] },
    ]);
  });

  test('a name that is taken is refused, unless it is to have another one', async () => {
    const file = await newFile();
    const add = (...others: string[]) => token('add', 'a', '--auth', file, '--rights', 'admin', ...others);
    expect(await add('--next')).toMatchObject({
      exit: 1,
      stderr: 'httpfstream-server token add: there is no token a yet\n',
    });
    await add();
    expect(await add()).toEqual({
      exit: 1,
      stdout: '',
      stderr: 'httpfstream-server token add: there is a token a already (--next)\n',
    });
    expect((await add('--next')).exit).toBe(0);
    expect((await contentOf(file)).tokens).toMatchObject([{ name: 'a' }, { name: 'a' }]);
    await token('revoke', 'a', '--auth', file);
    expect((await contentOf(file)).tokens).toEqual([]);
  });
});

describe('token list', () => {
  test('shows names, rights and when they end, and nothing of the tokens', async () => {
    const file = await newFile();
    const hash = (text: string) => hashOfToken(text);
    const document = {
      anonymous: [{ rights: ['follow', 'list'], paths: ['/public/**'] }],
      tokens: [
        {
          name: 'ci',
          hash: hash('a'),
          expires: '2000-01-01T00:00:00Z',
          rules: [{ rights: ['append'], paths: ['/a/**', '/b'] }, { rights: ['admin'] }],
        },
        { name: 'reader', hash: hash('b'), expires: '2100-01-01T00:00:00Z', rules: [] },
        { name: 'c', hash: hash('c'), rules: [{ rights: ['delete'], paths: ['/**'] }] },
      ],
    };
    await writeFile(file, JSON.stringify(document), { mode: 0o600 });
    expect(await token('list', '--auth', file)).toEqual({
      exit: 0,
      stderr: '',
      stdout: [
        'NAME         EXPIRES                      RIGHTS       PATHS',
        '(anonymous)  -                            follow,list  /public/**',
        'ci           2000-01-01T00:00:00Z (over)  append       /a/**,/b',
        '                                          admin        -',
        'reader       2100-01-01T00:00:00Z         -            -',
        'c            never                        delete       /**',
        '',
      ].join('\n'),
    });
  });
});

describe('token revoke', () => {
  test('takes one away, and leaves the others', async () => {
    const file = await newFile();
    for (const name of ['a', 'b']) await token('add', name, '--auth', file, '--rights', 'admin');
    expect(await token('revoke', 'a', '--auth', file)).toEqual({ exit: 0, stdout: '', stderr: '' });
    expect((await contentOf(file)).tokens).toMatchObject([{ name: 'b' }]);
    expect(await token('revoke', 'a', '--auth', file)).toMatchObject({
      exit: 1,
      stderr: `httpfstream-server token revoke: there is no token a in ${file}\n`,
    });
  });

  test.each(['list', 'revoke a'])('and %s make no file', async (command) => {
    const file = await newFile();
    const { exit, stderr } = await token(...command.split(' '), '--auth', file);
    expect([exit, stderr]).toEqual([1, expect.stringContaining('ENOENT')]);
    await expect(stat(file)).rejects.toThrow('ENOENT');
  });
});

test.each([
  [],
  ['show'],
  ['list'],
  ['list', '--auth', 'a', 'b'],
  ['add', '--auth', 'a', '--rights', 'admin'],
  ['add', 'a b', '--auth', 'a', '--rights', 'admin'],
  ['add', 'a', '--auth', 'a'],
  ['add', 'a', '--auth', 'a', '--rights', 'follow'],
  ['add', 'a', '--auth', 'a', '--rights', 'read', '--paths', '/a'],
  ['add', 'a', '--auth', 'a', '--rights', ',', '--paths', '/a'],
  ['add', 'a', '--auth', 'a', '--rights', 'follow', '--paths', 'a'],
  ['add', 'a', '--auth', 'a', '--rights', 'follow', '--paths', ''],
  ['add', 'a', '--auth', 'a', '--rights', 'admin', '--expires', '0d'],
  ['add', 'a', '--auth', 'a', '--rights', 'admin', '--expires', 'soon'],
  ['add', 'a', '--auth', 'a', '--rights', 'admin', '--expires', '2000-01-01'],
  ['add', 'a', '--auth', 'a', '--rights', 'admin', '--expires', '2100-02-31T00:00:00Z'],
  ['revoke', '--auth', 'a'],
])('token %j %j %j %j %j %j is wrong usage: one line, exit code 2', async (...argv) => {
  const { exit, stdout, stderr } = await token(...argv);
  expect({ exit, stdout }).toEqual({ exit: 2, stdout: '' });
  expect(stderr).toMatch(/^httpfstream-server token[^\n]*: [^\n]+\n$/);
});

test.each([[], ['add'], ['list'], ['revoke']])('token %s has a help', async (...argv) => {
  const { exit, stdout } = await token(...argv, '-h');
  expect([exit, stdout]).toEqual([0, expect.stringContaining('Usage: httpfstream-server token')]);
});
