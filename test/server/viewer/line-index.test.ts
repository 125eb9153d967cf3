import { appendFile, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, it } from 'vitest';
import { startServer, type TestServer } from '../../support/server/server.ts';

const BLOCK_BYTES = 256 * 1024;

async function start() {
  const server = await startServer();
  return { ...server, file: path.join(server.root, 'a.log') };
}

/** An answer, and what it says of itself. */
async function indexOf({ url }: TestServer, query = '') {
  const answer = await fetch(url(`/a.log?view=index${query}`));
  const { status, headers } = answer;
  const view = new DataView(await answer.arrayBuffer());
  const counts = Array.from({ length: view.byteLength / 4 }, (_, i) => view.getUint32(4 * i, true));
  const number = (name: string) => Number(headers.get(`index-${name}`));
  return {
    ...{ status, counts, generation: headers.get('index-generation'), cache: headers.get('cache-control') },
    ...{ blockBytes: number('block-bytes'), position: number('position'), size: number('size') },
  };
}

it('tells how many line feeds each block has, from a block on', async () => {
  const server = await start();
  await writeFile(server.file, `${'x'.repeat(BLOCK_BYTES - 1)}\n${'y\n'.repeat(BLOCK_BYTES / 2)}z\n`);
  const whole = await indexOf(server);
  expect(whole).toMatchObject({
    counts: [1, BLOCK_BYTES / 2, 1],
    blockBytes: BLOCK_BYTES,
    cache: 'no-store',
  });
  expect(whole).toMatchObject({ position: 2 * BLOCK_BYTES + 2, size: 2 * BLOCK_BYTES + 2 });
  expect(await indexOf(server, '&block=2')).toMatchObject({ counts: [1], position: 2 * BLOCK_BYTES + 2 });
  expect((await indexOf(server, '&block=9')).counts).toEqual([]);
});

it('goes on when the file grows, and says by its generation when other bytes are there', async () => {
  const server = await start();
  await writeFile(server.file, 'a\nb\n');
  const first = await indexOf(server);
  await appendFile(server.file, 'c\n');
  const grown = await indexOf(server);
  expect(grown).toMatchObject({ counts: [3], generation: first.generation });
  await truncate(server.file, 2);
  const cut = await indexOf(server);
  expect(cut.counts).toEqual([1]);
  expect(cut.generation).not.toBe(first.generation);
});

it('is refused where there is no file, and for what is no number', async () => {
  const server = await start();
  expect((await indexOf(server)).status).toBe(404);
  await writeFile(server.file, 'a\n');
  for (const block of ['-1', 'x', '1&block=2']) {
    expect((await indexOf(server, `&block=${block}`)).status, block).toBe(400);
  }
});
