import { readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { setAside } from '../../../src/storage/records/aside.ts';
import { Root } from '../../../src/storage/root/root.ts';
import { ResourcePath } from '../../../src/wire/resource-path.ts';
import { diskDirectory } from '../../support/server/server.ts';

test('what is set aside again after a failure has one copy, and other bytes have another', async () => {
  const directory = await diskDirectory();
  const root = await Root.open(directory);
  const location = path.join(directory, 'f');
  const file = await root.openAppend(ResourcePath.parse('f'), { create: true });
  onTestFinished(() => file.close());
  const copies: string[] = [];
  for (const surplus of ['theirs', 'theirs', 'others']) {
    await writeFile(location, `ours${surplus}`);
    copies.push(await setAside(root, file, 4));
    expect(await readFile(location, 'utf8')).toBe('ours');
  }
  expect(await Promise.all(copies.map((name) => readFile(name, 'utf8')))).toEqual([
    'theirs',
    'theirs',
    'others',
  ]);
  expect(copies[1]).toBe(copies[0]);
  expect(await readdir(root.own('aside'))).toHaveLength(2);
});
