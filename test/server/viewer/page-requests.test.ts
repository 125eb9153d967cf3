import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import Fastify from 'fastify';
import { expect, it } from 'vitest';
import { CopiedBuild } from '../../support/copied-build.ts';
import { listen, temporaryDirectory } from '../../support/server/server.ts';

it.each([
  ['a search', 'search&q=two', 'search-responder'],
  ['an index of lines', 'index', 'line-index-responder'],
])('what answers %s is loaded by the next request, if the first one could not', async (_what, view, name) => {
  const build = await CopiedBuild.make();
  const { httpfstream } = await build.import<typeof import('../../../src/server/plugin.ts')>('server/plugin');
  const root = await temporaryDirectory();
  await writeFile(path.join(root, 'a.log'), 'one\ntwo\n');
  const app = Fastify();
  await app.register(httpfstream, { root });
  const { url } = await listen(app);
  const status = async () => (await fetch(url(`/a.log?view=${view}`))).status;
  expect(await build.without(`server/viewer/${name}`, status)).toBe(500);
  expect(await status()).toBe(200);
});
