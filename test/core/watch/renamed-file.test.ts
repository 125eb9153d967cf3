import { rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, it } from 'vitest';
import { ANYBODY, Permit } from '../../../src/core/permit.ts';
import { openRenamed } from '../../../src/core/watch/renamed-file.ts';
import type { Right } from '../../../src/rights/access.ts';
import { Root } from '../../../src/storage/root/root.ts';
import { ResourcePath } from '../../../src/wire/resource-path.ts';
import { temporaryDirectory } from '../../support/server/server.ts';

const BEFORE = 'app.log';

/** What is found of a file of three bytes that was renamed to `name`. */
async function foundAs(name: string, from = 0, subject = ANYBODY): Promise<string | undefined> {
  const directory = await temporaryDirectory();
  await writeFile(path.join(directory, BEFORE), 'old');
  const root = await Root.open(directory);
  const resource = ResourcePath.parse(`/${BEFORE}`);
  const { generation } = await root.stat(resource);
  await rename(path.join(directory, BEFORE), path.join(directory, name));
  const permit = Permit.require(subject, 'follow', resource);
  const { file } = (await openRenamed(root, permit, { generation, from })) ?? {};
  const text = file && (await file.read(0, 10))?.toString();
  await file?.close();
  return text;
}

it.each(['app.log.1', 'app.log-20261128', 'app-20261128.log', 'app.1.log', 'app.log_old'])(
  'a file that was renamed to %s is found',
  async (name) => {
    expect(await foundAs(name)).toBe('old');
  },
);

// Two files may have been made in the same tick of the clock, and then one deleted.
it.each(['application.log', 'app.txt', 'app', 'another.log', 'app.logs'])(
  'one that is called %s was another all the time, whatever its generation',
  async (name) => {
    expect(await foundAs(name)).toBeUndefined();
  },
);

it('one that is shorter than what was read is another', async () => {
  expect([await foundAs('app.log.1', 3), await foundAs('app.log.1', 4)]).toEqual(['old', undefined]);
});

it('one is for those only who may follow it by its name of now', async () => {
  const subject = { ...ANYBODY, may: (_right: Right, asked: ResourcePath) => asked.key === BEFORE };
  expect(await foundAs('app.log.1', 0, subject)).toBeUndefined();
});
