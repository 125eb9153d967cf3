import { chmod, chown, lstat, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import type { AuthDocument } from '../../src/rights/auth-file.ts';
import { editAuthFile } from '../../src/rights/auth-file-edit.ts';
import { hashOfToken } from '../../src/rights/token.ts';
import { AuthFileBusyError } from '../../src/wire/errors.ts';
import { temporaryDirectory } from '../support/server/server.ts';

const newFile = async () => path.join(await temporaryDirectory(), 'auth.json');

const adding =
  (name: string) =>
  ({ tokens = [], ...others }: AuthDocument): AuthDocument => ({
    ...others,
    tokens: [...tokens, { name, hash: hashOfToken(name), rules: [] }],
  });

const namesIn = async (file: string) =>
  (JSON.parse(await readFile(file, 'utf8')) as AuthDocument).tokens?.map(({ name }) => name);

describe('an edit of the file', () => {
  test('makes it if it is missing, for nobody but its owner, and leaves nothing else', async () => {
    const file = await newFile();
    await editAuthFile(file, adding('a'));
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(await readdir(path.dirname(file))).toEqual(['auth.json']);
    expect(await namesIn(file)).toEqual(['a']);
  });

  test('keeps what others have written, and a link to it', async () => {
    const file = await newFile();
    await writeFile(file, '{"$schema":"x","anonymous":[]}', { mode: 0o600 });
    const link = path.join(path.dirname(file), 'link.json');
    await symlink('auth.json', link);
    await editAuthFile(link, adding('a'));
    expect((await lstat(link)).isSymbolicLink()).toBe(true);
    expect(JSON.parse(await readFile(file, 'utf8'))).toMatchObject({ $schema: 'x', anonymous: [] });
    expect(await namesIn(file)).toEqual(['a']);
  });

  test('loses none of those that are made at the same time', async () => {
    const file = await newFile();
    const names = Array.from({ length: 20 }, (_, i) => `t${i}`);
    await Promise.all(names.map((name) => editAuthFile(file, adding(name), 60_000)));
    expect((await namesIn(file))?.sort()).toEqual(names.toSorted());
  });

  test.each([
    [
      'throws',
      () => {
        throw new Error('no');
      },
      'no',
    ],
    ['would break it', () => ({ tokens: 1 }) as never, '/tokens must be array'],
  ])("that %s changes nothing, and is in nobody's way", async (_, edit, why) => {
    const file = await newFile();
    await editAuthFile(file, adding('a'));
    await expect(editAuthFile(file, edit)).rejects.toThrow(why);
    await editAuthFile(file, adding('b'));
    expect(await namesIn(file)).toEqual(['a', 'b']);
  });

  test('leaves a broken file, and one that is not private, as it is', async () => {
    const file = await newFile();
    await writeFile(file, '{', { mode: 0o600 });
    await expect(editAuthFile(file, adding('a'))).rejects.toThrow(`${file}:1:2: this is not JSON`);
    await writeFile(file, '{}');
    await chmod(file, 0o644);
    await expect(editAuthFile(file, adding('a'))).rejects.toThrow('nobody but its owner');
    expect(await readFile(file, 'utf8')).toBe('{}');
  });

  test('does not wait for ever for one that was killed, and says what to remove', async () => {
    const file = await newFile();
    await writeFile(`${file}.lock`, '');
    const error = await editAuthFile(file, adding('a'), 30).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(AuthFileBusyError);
    expect((error as Error).message).toContain(`remove ${file}.lock`);
  });

  test('by root leaves the file to its owner, and to the group that may read it', async () => {
    const file = await newFile();
    await editAuthFile(file, adding('a'));
    // Another user cannot give it away: then it has its own group before and after.
    const isRoot = process.getuid?.() === 0;
    for (const [name, owner, group] of [
      ['b', 0, 1234],
      ['c', 1234, 1234],
    ] as const) {
      if (isRoot) await chown(file, owner, group);
      await chmod(file, isRoot ? 0o600 : 0o400);
      const { uid, gid, mode } = await stat(file);
      await editAuthFile(file, adding(name));
      expect(await stat(file)).toMatchObject({ uid, gid, ...(isRoot && { mode }) });
    }
  });
});
