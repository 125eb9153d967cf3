import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { FileFinder } from '../../src/core/file-finder.ts';
import { Root } from '../../src/storage/root/root.ts';
import { ResourcePath } from '../../src/wire/resource-path.ts';
import { temporaryDirectory } from '../support/server/server.ts';

/** Files in each of the directories. */
const COUNT = 5;

/** Two directories of files, each of which was below another name there. */
async function renamedFiles() {
  const directory = await temporaryDirectory();
  const root = await Root.open(directory);
  const places: { fingerprint: string; at: string; was: string }[] = [];
  for (const name of ['a', 'b']) {
    await mkdir(path.join(directory, name));
    for (let i = 0; i < COUNT; i++) {
      const at = `${name}/${i}`;
      await writeFile(path.join(directory, at), '');
      const { fingerprint } = await root.stat(ResourcePath.parse(at));
      places.push({ fingerprint, at, was: `${at}.old` });
    }
  }
  return { root, places };
}

test.each([
  ['one after the other', false],
  ['at the same time', true],
])(
  'so many names are looked at as are allowed, also for those that are looked for %s',
  async (_how, isAtOnce) => {
    const { root, places } = await renamedFiles();
    const finder = new FileFinder(root, COUNT);
    const found: (string | undefined)[] = [];
    const find = async ({ fingerprint, was }: (typeof places)[number]) =>
      void found.push(await finder.find(fingerprint, [was]));
    if (isAtOnce) await Promise.all(places.map(find));
    else for (const place of places) await find(place);
    expect(found.filter((at) => at !== undefined)).toHaveLength(COUNT);
  },
);

test('what is not looked at is left for other directories', async () => {
  const { root, places } = await renamedFiles();
  const finder = new FileFinder(root, 2 * COUNT);
  for (const { fingerprint, at, was } of places) expect(await finder.find(fingerprint, [was])).toBe(at);
});
