import { execFileSync } from 'node:child_process';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import { parseAuthFile, readAuthFile } from '../../src/rights/auth-file.ts';
import { hashOfToken, makeToken } from '../../src/rights/token.ts';
import { InvalidAuthFileError } from '../../src/wire/errors.ts';
import { asOrdinaryUser, giveToOrdinaryUser } from '../support/disk/ordinary-user.ts';
import { temporaryDirectory } from '../support/server/server.ts';

const RULES = [{ rights: ['follow'], paths: ['/a/**'] }];

const tokenWith = (other: object) => ({
  name: 'ci',
  hash: hashOfToken(makeToken()),
  rules: RULES,
  ...other,
});

describe('what is in the file', () => {
  test.each([
    {},
    { $schema: './schema.json', anonymous: [], tokens: [] },
    { anonymous: RULES },
    { tokens: [tokenWith({}), tokenWith({})] },
    {
      tokens: [tokenWith({ expires: '2030-01-01T00:00:00Z' }), tokenWith({ name: 'other.one-2', rules: [] })],
    },
    { tokens: [tokenWith({ expires: '2030-01-01T00:00:00.5+02:00', rules: [{ rights: ['admin'] }] })] },
  ])('is taken: %j', async (document) => {
    expect(await parseAuthFile(JSON.stringify(document), 'auth.json')).toEqual(document);
  });

  test.each([
    ['', ':1:1: this is not JSON'],
    ['{\n  "anonymous": []\n  "tokens": []\n}', ':3:3: this is not JSON'],
    ['{"a":}', ':1:6: this is not JSON'],
    ['{"tokens": [{"hash": hfs_secret}]}', 'this is not JSON'],
    ['{} // all', ':1:4: this is not JSON'],
    ['[]', ':1:1: / must be object'],
    ['{\n "tokns": []}', ':1:1: / must NOT have additional properties: "tokns"'],
    [
      '{\n "anonymous": [\n  { "rights": ["follow"], "paths": ["/a", "b"] }]}',
      ':3:43: /anonymous/0/paths/1 must begin with /',
    ],
    [
      '{"anonymous":[{"rights":["read"],"paths":["/a"]}]}',
      ':1:26: /anonymous/0/rights/0 must be equal to one of the allowed values: follow, append, list, delete, admin',
    ],
    ['{"anonymous":[{"rights":[],"paths":["/a"]}]}', '/anonymous/0/rights must NOT have fewer than 1 items'],
    ['{"anonymous":[{"rights":["follow"],"paths":[]}]}', '/anonymous/0/paths must NOT have fewer'],
    ['{"anonymous":[{"rights":["follow","admin"]}]}', ':1:15: /anonymous/0 must have paths'],
    ['{"anonymous":[{"paths":["/a"]}]}', "/anonymous/0 must have required property 'rights'"],
    ['{"tokens":[{"name":"ci","rules":[]}]}', "/tokens/0 must have required property 'hash'"],
    [JSON.stringify({ tokens: [tokenWith({ name: 'a b' })] }), '/tokens/0/name must match pattern'],
    [
      JSON.stringify({ tokens: [tokenWith({ expires: '2030-02-31' })] }),
      '/tokens/0/expires must match format',
    ],
    [
      JSON.stringify({ tokens: [tokenWith({ expires: '2030-13-01T00:00:00Z' })] }),
      '/tokens/0/expires must match format',
    ],
    [
      JSON.stringify({ tokens: [tokenWith({ expires: '2027-02-31T00:00:00Z' })] }),
      '/tokens/0/expires must match format',
    ],
    [
      JSON.stringify({ tokens: [tokenWith({ expires: '2030-01-01T24:00:00Z' })] }),
      '/tokens/0/expires must match format',
    ],
    ['{\n "anonymous": [],\n "anonymous": []}', ':3:2: /anonymous comes twice'],
    [
      '{"tokens":[],"anonymous":[{"rights":["list"],"paths":["/a"],"rights":["follow"]}]}',
      ':1:61: /anonymous/0/rights comes twice',
    ],
    [
      JSON.stringify({
        tokens: [tokenWith({ hash: hashOfToken('x') }), tokenWith({ name: 'b', hash: hashOfToken('x') })],
      }),
      '/tokens/1/hash must not be that of another token',
    ],
    [
      JSON.stringify({ tokens: [tokenWith({ rules: [{ rights: ['list'], paths: ['/**/**/**'] }] })] }),
      "/tokens/0/rules/0/paths/0 must have '**' at most 2 times",
    ],
  ])('is refused with the place: %s', async (text, why) => {
    const error = await parseAuthFile(text, '/etc/auth.json').catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(InvalidAuthFileError);
    expect((error as Error).message).toContain(why);
    // Its causes are logged, too.
    expect(inspect(error)).not.toContain('hfs_secret');
    expect((error as Error).message).toMatch(/^\/etc\/auth\.json:\d+:\d+: /);
  });

  test('is not told: a token that was put in the place of its hash stays secret', async () => {
    const token = makeToken();
    for (const text of [
      JSON.stringify({ tokens: [tokenWith({ hash: token })] }),
      `{"tokens":[{"hash":"${token}"`,
    ]) {
      await expect(parseAuthFile(text, 'auth.json')).rejects.toThrow(
        expect.objectContaining({ message: expect.not.stringContaining(token.slice(0, 12)) }),
      );
    }
  });
});

describe('the mode of the file', () => {
  const fileOf = async (mode: number) => {
    const file = path.join(await temporaryDirectory(), 'auth.json');
    await writeFile(file, '{}');
    await chmod(file, mode);
    return file;
  };

  test.each([0o600, 0o400])('%o is private', async (mode) => {
    expect(await readAuthFile(await fileOf(mode))).toBe('{}');
  });

  test.each([0o640, 0o604, 0o620, 0o644, 0o666])('%o is refused', async (mode) => {
    const file = await fileOf(mode);
    await expect(readAuthFile(file)).rejects.toThrow(`nobody but its owner: chmod 600 ${file}`);
  });

  test.each([
    ['a pipe', (place: string) => void execFileSync('mkfifo', ['-m', '600', place])],
    ['a directory', (place: string) => mkdir(place, 0o700)],
  ])('%s in its place is refused, and not waited for', async (_, make) => {
    const place = path.join(await temporaryDirectory(), 'auth.json');
    await make(place);
    await expect(readAuthFile(place)).rejects.toThrow(`${place} must be a file`);
  });

  test('may let the group of a server read that is not root, when the file is', async () => {
    const file = await fileOf(0o440);
    await chmod(path.dirname(file), 0o755);
    const reading = asOrdinaryUser(() => readAuthFile(file));
    if (process.getuid?.() === 0) expect(await reading).toBe('{}');
    else await expect(reading).rejects.toThrow('nobody but its owner');
    await chmod(file, 0o444);
    await expect(asOrdinaryUser(() => readAuthFile(file))).rejects.toThrow('nobody but its owner');
  });

  test('does not help a file that somebody else owns', async () => {
    const file = await fileOf(0o600);
    await giveToOrdinaryUser(file);
    const reading = readAuthFile(file);
    if (process.getuid?.() === 0) await expect(reading).rejects.toThrow('must belong to who runs the server');
    else expect(await reading).toBe('{}');
  });
});
