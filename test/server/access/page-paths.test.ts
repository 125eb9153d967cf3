import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { HANDSHAKE, rawGet, rawRequest } from '../../support/http/raw.ts';
import { startServer } from '../../support/server/server.ts';

const shown = (dest: string) => [
  'Sec-Fetch-Site: none',
  'Sec-Fetch-Mode: navigate',
  `Sec-Fetch-Dest: ${dest}`,
];
const SHOWN = shown('document');
const PART = ['Sec-Fetch-Site: cross-site', 'Sec-Fetch-Mode: no-cors', 'Sec-Fetch-Dest: image'];

/** Where a redirect leads. */
function target(location: string | undefined, from: string): string {
  const { pathname, search } = new URL(location ?? '', `http://test${from}`);
  return pathname + search;
}

/** The path with the key in front of what lies beside a page. */
async function keyOf(port: number, page: string): Promise<string> {
  const { headers } = await rawGet(port, page, SHOWN);
  return target(headers.location, page).slice(0, -page.length);
}

async function start(options: { prefix?: string; index?: boolean } = {}) {
  const server = await startServer(options);
  await mkdir(path.join(server.root, 'd'));
  for (const name of ['d/a b.html', 'd/picture.png', 'd/log.txt', 'd/index.html']) {
    await writeFile(path.join(server.root, name), 'content');
  }
  return server;
}

describe('a page that a browser is to show', () => {
  it.each(['', '/logs'])(
    'is asked for once more, with a key in front of its path (prefix "%s")',
    async (prefix) => {
      const { port } = await start({ prefix });
      const moved = await rawGet(port, `${prefix}/d/a%20b.html?x=1`, SHOWN);
      expect(moved.status).toBe(301);
      expect(moved.headers['cache-control']).toBe('no-cache');
      const location = target(moved.headers.location, `${prefix}/d/a%20b.html`);
      expect(location).toMatch(
        new RegExp(`^${prefix}/\\.httpfstream/page/1\\.[\\w-]{24}/d/a%20b\\.html\\?x=1$`),
      );
      const page = await rawGet(port, location, SHOWN);
      expect([page.status, page.body]).toEqual([200, 'content']);
      expect((await rawGet(port, `${prefix}/d/a%20b.html`, shown('iframe'))).status).toBe(301);
    },
  );

  it('loads what lies beside it, which strangers cannot', async () => {
    const { port } = await start();
    const { headers } = await rawGet(port, '/d/a%20b.html', SHOWN);
    const location = target(headers.location, '/d/a%20b.html');
    const beside = location.replace(/[^/]*$/, 'picture.png');
    expect((await rawGet(port, beside, PART)).status).toBe(200);
    expect((await rawGet(port, beside, [...PART, 'Origin: null'])).status).toBe(403);
    expect((await rawGet(port, beside, [...PART, ...HANDSHAKE])).status).toBe(403);
    expect((await rawGet(port, beside.replace(/page\/[^/]+/, 'page/guessed'), PART)).status).toBe(403);
    expect((await rawGet(port, '/d/picture.png', PART)).status).toBe(403);
  });

  it('loads nothing that is not below its own directory', async () => {
    const { port, root } = await start();
    await mkdir(path.join(root, 'd/deep'));
    await writeFile(path.join(root, 'd/deep/picture.png'), 'content');
    await writeFile(path.join(root, 'd/deep/page.html'), 'content');
    await writeFile(path.join(root, 'top.png'), 'content');
    const shownAt = await keyOf(port, '/d/a%20b.html');
    const load = async (file: string) => (await rawGet(port, `${shownAt}/${file}`, PART)).status;
    expect(await load('d/deep/picture.png')).toBe(200);
    for (const file of ['top.png', 'd/../top.png', 'd/%2e%2e/top.png', 'd%2f..%2ftop.png', 'e/f.png']) {
      expect([file, await load(file)]).toEqual([file, 403]);
    }
    const deep = await keyOf(port, '/d/deep/page.html');
    expect((await rawGet(port, `${deep}/d/picture.png`, PART)).status).toBe(403);
    for (const forged of [
      deep.replace('page/2.', 'page/1.'),
      deep.replace('page/2.', 'page/0.'),
      `${deep}x`,
    ]) {
      expect((await rawGet(port, `${forged}/d/picture.png`, PART)).status).toBe(403);
    }
    // A link from page to page stays below the key of the first.
    const linked = `${shownAt}/d/deep/page.html`;
    expect((await rawGet(port, linked, SHOWN)).status).toBe(200);
  });

  it('that gives its key away opens nothing but what pages are made of', async () => {
    const { port } = await start();
    const shownAt = await keyOf(port, '/d/a%20b.html');
    const ask = async (file: string, dest: string, method = 'GET', ...headers: string[]) => {
      const line = `${method} ${shownAt}/d/${file} HTTP/1.1`;
      return (
        await rawRequest(port, line, ['Sec-Fetch-Site: cross-site', `Sec-Fetch-Dest: ${dest}`, ...headers])
      ).status;
    };
    for (const dest of ['image', 'style', 'script', 'font', 'audio', 'video', 'track']) {
      expect([dest, await ask('log.txt', dest)]).toEqual([dest, 200]);
      for (const query of [
        'verb=FOLLOW',
        'verb=APPEND',
        'verb=',
        'verb=x',
        'offset=-1',
        'live=sse',
        'lines=1',
      ]) {
        expect([query, await ask(`log.txt?${query}`, dest)]).toEqual([query, 403]);
      }
      expect(await ask('log.txt', dest, 'GET', 'X-Verb: FOLLOW')).toBe(403);
      expect(await ask('log.txt', dest, 'HEAD')).toBe(200);
      for (const method of ['PUT', 'POST', 'DELETE', 'OPTIONS', 'PATCH']) {
        expect([method, await ask('log.txt', dest, method)]).toEqual([method, 403]);
      }
    }
    for (const dest of [
      'iframe',
      'frame',
      'object',
      'embed',
      'empty',
      'worker',
      'manifest',
      'document',
      '',
    ]) {
      expect([dest, await ask('a%20b.html', dest)]).toEqual([dest, 403]);
    }
  });

  it('has below its key plain reads only, whoever asks', async () => {
    const { port } = await start();
    const shownAt = await keyOf(port, '/d/a%20b.html');
    expect((await rawGet(port, `${shownAt}/d/log.txt`)).body).toBe('content');
    const head = await rawRequest(port, `HEAD ${shownAt}/d/log.txt HTTP/1.1`);
    expect([head.status, head.headers['content-length']]).toEqual([200, '7']);
    for (const query of ['verb=FOLLOW', 'offset=-1', 'offset=now&live=long-poll', 'live=sse']) {
      expect([query, (await rawGet(port, `${shownAt}/d/log.txt?${query}`)).status]).toEqual([query, 403]);
    }
  });

  it('moves on from the key of a server that is gone', async () => {
    const { port } = await start();
    const old = '/.httpfstream/page/of-another-server/d/a%20b.html';
    const { status, headers } = await rawGet(port, old, SHOWN);
    expect([status, target(headers.location, old)]).toEqual([
      301,
      expect.stringMatching(/\/page\/(?!of-another)[\w.-]+\/d\/a%20b\.html$/),
    ]);
  });

  it('is below the path of its directory when it is the index page of that', async () => {
    const { port } = await start({ index: true });
    const { headers } = await rawGet(port, '/d/', [...SHOWN, 'Accept: text/html']);
    expect(target(headers.location, '/d/')).toMatch(/\/page\/1\.[\w-]+\/d\/$/);
  });

  it('is sent at once to those who do not show it, and so is what is no page', async () => {
    const { port } = await start();
    expect((await rawGet(port, '/d/a%20b.html')).status).toBe(200);
    expect((await rawGet(port, '/d/log.txt', SHOWN)).status).toBe(200);
    expect((await rawGet(port, '/d/picture.png', SHOWN)).status).toBe(200);
  });

  it('has nothing below its key that can be written, or is the own of the server', async () => {
    const { port } = await start();
    for (const [method, file] of [
      ['PUT', 'd/new'],
      ['DELETE', 'd/log.txt'],
      ['GET', '.httpfstream/lock'],
    ]) {
      const { status } = await rawRequest(port, `${method} /.httpfstream/page/key/${file} HTTP/1.1`);
      expect([method, status]).toEqual([method, 403]);
    }
  });
});
