import fs from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import path from 'node:path';
import Fastify from 'fastify';
import { describe, expect, it, vi } from 'vitest';
import { httpfstream } from '../../../src/server/plugin.ts';
import type { HttpfstreamOptions } from '../../../src/server/settings.ts';
import type { PageData } from '../../../src/wire/page.ts';
import { isOpen } from '../../support/disk/descriptors.ts';
import { systemError } from '../../support/disk/small-disk.ts';
import { get } from '../../support/http/request.ts';
import { RuleAccess } from '../../support/server/rule-access.ts';
import { listen, temporaryDirectory } from '../../support/server/server.ts';

const NAVIGATION = { 'sec-fetch-dest': 'document', accept: 'text/html,application/xhtml+xml,*/*;q=0.8' };
const OLD_BROWSER = { accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8' };
const LINES = 'one\ntwo\n';

/** What the build has made for pages. */
const BUILT = new URL('../../../dist/page/', import.meta.url);

async function manifestOf(kind: string): Promise<{ script: string; imports: string[] }> {
  return JSON.parse(await readFile(new URL('manifest.json', BUILT), 'utf8')).kinds[kind];
}

/** A server with files. */
async function start(options: Partial<HttpfstreamOptions & { prefix: string }> = {}) {
  const root = await temporaryDirectory();
  for (const [name, bytes] of Object.entries({ 'a.log': LINES, 'b.html': '<p>page' })) {
    await writeFile(path.join(root, name), bytes);
  }
  const app = Fastify();
  await app.register(httpfstream, { closeTimeoutMs: 200, ...options, root });
  const { port } = await listen(app);
  return { root, url: `http://localhost:${port}${options.prefix ?? ''}` };
}

function dataOf(html: string): PageData {
  return JSON.parse(/<script type="application\/json"[^>]*>(.*?)<\/script>/.exec(html)?.[1] ?? '');
}

const isPage = async (url: string, headers: Record<string, string> = {}) => {
  const answer = await fetch(url, { headers });
  const text = await answer.text();
  return text.startsWith('<!doctype html>') ? dataOf(text).kind : text;
};

describe('who gets the page of a file', () => {
  it('browsers that navigate to it, and no program and no script', async () => {
    const { url } = await start();
    const file = `${url}/a.log`;
    expect(await isPage(file, NAVIGATION)).toBe('text');
    expect(await isPage(file, OLD_BROWSER)).toBe('text');
    expect(await isPage(file)).toBe(LINES);
    expect(await isPage(file, { accept: 'application/json' })).toBe(LINES);
    expect(await isPage(file, { 'sec-fetch-dest': 'empty', accept: 'text/html' })).toBe(LINES);
    expect(await isPage(file, { ...NAVIGATION, range: 'bytes=4-' })).toBe('two\n');
  });

  it('with ?view whoever asks, with ?raw nobody', async () => {
    const { url } = await start();
    expect(await isPage(`${url}/a.log?view`)).toBe('text');
    expect(await isPage(`${url}/b.html?view`)).toBe('text');
    expect(await isPage(`${url}/a.log?raw`, NAVIGATION)).toBe(LINES);
    expect(await isPage(`${url}/b.html`, NAVIGATION)).toBe('<p>page');
  });

  it('with ?raw a stream of JSON is what is stored, which can be read in parts', async () => {
    const { url } = await start();
    const headers = { 'content-type': 'application/json' };
    await fetch(`${url}/events`, { method: 'PUT', headers, body: '[{"a":1},{"b":2}]' });
    expect(await isPage(`${url}/events`)).toBe('[{"a":1},{"b":2}]\n');
    expect(await isPage(`${url}/events?raw`, NAVIGATION)).toBe('{"a":1}\n{"b":2}\n');
    expect(await isPage(`${url}/events?raw`, { range: 'bytes=8-' })).toBe('{"b":2}\n');
  });

  it('nobody, where it is switched off', async () => {
    const { url } = await start({ viewer: false });
    const answer = await fetch(`${url}/a.log`, { headers: NAVIGATION });
    expect(await answer.text()).toBe(LINES);
    expect(answer.headers.get('vary')).toBeNull();
  });
});

describe('the page of what cannot be shown', () => {
  it('comes with the status that everybody else gets', async () => {
    const { url } = await start();
    const missing = await fetch(`${url}/later.log`, { headers: NAVIGATION });
    expect([missing.status, dataOf(await missing.text())]).toMatchObject([
      404,
      { status: 404, kind: 'text', path: '/later.log' },
    ]);
    const answer = await fetch(`${url}/later.log`);
    expect([answer.status, answer.headers.get('content-type')]).toEqual([404, 'application/problem+json']);
    expect((await fetch(`${url}/a.log/../.httpfstream/`, { headers: NAVIGATION })).status).toBe(403);
  });

  it('comes for a stream that is gone, of which there are forks', async () => {
    const { url } = await start();
    const put = (name: string, headers: Record<string, string>) =>
      fetch(`${url}/${name}`, {
        method: 'PUT',
        headers: { 'content-type': 'text/plain', ...headers },
        body: '',
      });
    await put('stream', {});
    expect((await put('fork', { 'stream-forked-from': '/stream' })).status).toBe(201);
    await fetch(`${url}/stream`, { method: 'DELETE' });
    const gone = await fetch(`${url}/stream`, { headers: NAVIGATION });
    expect([gone.status, dataOf(await gone.text())]).toMatchObject([410, { status: 410, path: '/stream' }]);
  });

  it('tells nobody whether there is anything, and asks for the token itself', async () => {
    const { url } = await start({ access: new RuleAccess({ t: { rules: { '/a.log': ['follow'] } } }) });
    for (const name of ['a.log', 'b.html', 'missing']) {
      const { text, headers } = await get(`${url}/${name}`, NAVIGATION);
      expect(dataOf(text)).toMatchObject({ kind: 'text', status: 401, path: `/${name}` });
      expect(headers['www-authenticate']).toBe('Bearer realm="httpfstream"');
    }
    const raw = await get(`${url}/a.log?raw`, NAVIGATION);
    expect(raw.headers['www-authenticate']).toContain('Basic');
  });
});

describe('the page of what comes from an upstream', () => {
  it("is the relay's own, by the name of what it shows, which is fetched as it is there", async () => {
    const origin = await start();
    const { url } = await start({ upstreams: [`/there=${origin.url}`] });
    expect(await isPage(`${url}/there/a.log`, NAVIGATION)).toBe('text');
    expect(await isPage(`${url}/there/a.log`, OLD_BROWSER)).toBe('text');
    expect(await isPage(`${url}/there/a.log?raw`, NAVIGATION)).toBe(LINES);
    expect(await isPage(`${url}/there/b.html`, OLD_BROWSER)).toBe('<p>page');
    const missing = await fetch(`${url}/there/missing.html`, { headers: OLD_BROWSER });
    expect(dataOf(await missing.text())).toMatchObject({ status: 404, path: '/there/missing.html' });
  });
});

describe('the page', () => {
  it('is kept by nobody, and its script and style by everybody for ever, below a prefix, too', async () => {
    const { url } = await start({ prefix: '/logs' });
    const answer = await fetch(`${url}/a.log`, { headers: NAVIGATION });
    expect(answer.headers.get('cache-control')).toBe('no-store');
    const { path: shown, kinds, kind } = dataOf(await answer.text());
    expect(shown).toBe('/a.log');
    for (const name of Object.values(kinds[kind] ?? {})) {
      const asset = await fetch(new URL(name, `${url}/a.log`));
      expect([asset.status, asset.headers.get('cache-control')]).toEqual([
        200,
        'public, max-age=31536000, immutable',
      ]);
    }
    expect((await fetch(`${url}/-/viewer/other.js`)).status).toBe(404);
  });

  it('loads at most 40 KiB of script for each kind, all of which it names at once', async () => {
    const { url } = await start();
    const html = await (await fetch(`${url}/a.log?view`)).text();
    const { kinds } = dataOf(html);
    expect(Object.keys(kinds)).toContain('text');
    const gzipped = async (name: string) => {
      const { headers } = await get(new URL(name, url).href, { 'accept-encoding': 'gzip' });
      expect(headers['content-encoding']).toBe('gzip');
      return Number(headers['content-length']);
    };
    const named = [...html.matchAll(/modulepreload" nonce="[^"]+" href="([^"]+)"/g)].map(([, name]) => name);
    const { imports } = await manifestOf('text');
    expect(named.map((name) => path.basename(name ?? ''))).toEqual(imports);
    for (const kind of Object.keys(kinds)) {
      const { script, imports } = await manifestOf(kind);
      const sizes = await Promise.all([script, ...imports].map((name) => gzipped(`/-/viewer/${name}`)));
      expect([kind, sizes.reduce((sum, size) => sum + size, 0) <= 40_960]).toEqual([kind, true]);
    }
  });

  it('has scripts for those, too, who take no compressed ones', async () => {
    const { url } = await start();
    const { script } = await manifestOf('text');
    const { headers, body } = await get(`${url}/-/viewer/${script}`);
    expect(headers['content-encoding']).toBeUndefined();
    expect(body.equals(await readFile(new URL(script, BUILT)))).toBe(true);
  });

  it('tells caches that others get the bytes', async () => {
    const { url } = await start();
    expect((await fetch(`${url}/a.log`)).headers.get('vary')).toBe('Accept, Sec-Fetch-Dest');
    expect((await fetch(`${url}/a.log?raw`)).headers.get('vary')).toBeNull();
  });
});

describe('a page that could not be made', () => {
  const statusOf = async (url: string) => (await fetch(url, { headers: NAVIGATION })).status;

  it('is made when somebody asks again', async () => {
    const { url } = await start();
    const reading = vi.spyOn(fs.promises, 'readFile').mockRejectedValueOnce(systemError('EMFILE'));
    syncBuiltinESMExports();
    expect(await statusOf(`${url}/a.log`)).toBe(500);
    reading.mockRestore();
    syncBuiltinESMExports();
    expect(await isPage(`${url}/a.log`, NAVIGATION)).toBe('text');
  });

  it('leaves no file open', async () => {
    const { root, url } = await start();
    const reading = vi.spyOn(fs, 'readSync').mockImplementationOnce(() => {
      throw systemError('EIO');
    });
    expect(await statusOf(`${url}/a.log`)).toBe(500);
    expect(reading).toHaveBeenCalledOnce();
    reading.mockRestore();
    expect(await isOpen(path.join(root, 'a.log'))).toBe(false);
  });
});
