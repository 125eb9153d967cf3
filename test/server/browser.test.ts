import { readdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import Fastify from 'fastify';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { httpfstream } from '../../src/server/plugin.ts';
import type { HttpfstreamOptions } from '../../src/server/settings.ts';
import { PATIENCE_MS } from '../support/patience.ts';
import { CHROMIUM, connectChromium } from '../support/programs/chromium.ts';
import { listen, temporaryDirectory } from '../support/server/server.ts';
import { waitFor } from '../support/wait-for.ts';

const SECRET = 'the secret';
const RED_DOT =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';

/** What a page can try on a server that is not its own; says in the page what brought something. */
const ATTEMPTS = new URL('../support/programs/page-attempts.js', import.meta.url);

const ALL = [
  'append by WebSocket',
  'delete',
  'events',
  'follow',
  'follow by WebSocket',
  'list',
  'put',
  'read',
  'read a stream',
];

/** An application with the plugin below `prefix`, with files, and what it has answered. */
async function start({ prefix, ...options }: Partial<HttpfstreamOptions> & { prefix?: string } = {}) {
  const root = await temporaryDirectory();
  const files = {
    f: SECRET,
    'dot.png': Buffer.from(RED_DOT, 'base64'),
    'script.js': 'document.title = "ran"',
    'style.css': 'p { color: rgb(1, 2, 3) }',
  };
  for (const [name, bytes] of Object.entries(files)) await writeFile(path.join(root, name), bytes);
  const app = Fastify();
  const answers: { request: string; status: number }[] = [];
  app.addHook('onResponse', async ({ method, url }, { statusCode }) => {
    answers.push({ request: `${method} ${url}`, status: statusCode });
  });
  app.get('/page', async (_request, reply) => reply.type('text/html').send('<!doctype html><p>page'));
  await app.register(httpfstream, { closeTimeoutMs: 200, ...options, root, ...(prefix && { prefix }) });
  const { port } = await listen(app);
  return { root, port, answers, url: `http://localhost:${port}`, names: Object.keys(files) };
}

/** A page on a server of its own. Resolves to its port. */
async function startForeign(html = '<!doctype html><p>page'): Promise<number> {
  const server = createServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/html' }).end(html);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** The names of those that brought something. */
async function attemptsOf(page: Page, target: string): Promise<string[]> {
  await page.addScriptTag({ path: fileURLToPath(ATTEMPTS) });
  return page.evaluate(`attempts('${target}')`);
}

async function namesIn(root: string): Promise<string[]> {
  return (await readdir(root)).filter((name) => name !== '.httpfstream').sort();
}

if (CHROMIUM === undefined) {
  const without =
    'what browsers do is not tested: there is no Chromium at /usr/bin/chromium, nor where CHROMIUM says';
  process.stderr.write(`${without}\n`);
  it(without, () => {
    expect(CHROMIUM).toBeUndefined();
  });
} else {
  let browser: Browser;
  let context: BrowserContext;
  beforeAll(async () => {
    browser = await connectChromium();
    context = await browser.newContext();
    context.setDefaultTimeout(PATIENCE_MS);
  });
  afterAll(() => browser?.close());

  /** Pages that no test has: each new one would be a process of its own. */
  const idle: Page[] = [];

  /** A page that only this test has. */
  async function open(url: string): Promise<Page> {
    const page = idle.pop() ?? (await context.newPage());
    onTestFinished(async () => {
      await page.goto('about:blank');
      idle.push(page);
    });
    await page.goto(url);
    return page;
  }

  describe('a page of another origin', () => {
    it.each(['localhost', 'evil.example'])('on another port of %s can do nothing', async (host) => {
      const server = await start();
      const page = await open(`http://${host}:${await startForeign()}/`);
      expect(await attemptsOf(page, server.url)).toEqual([]);
      await waitFor(
        () => server.answers.some(({ request }) => request.includes('/beacon')),
        'the beacon to be answered',
      );
      expect(server.answers.filter(({ status }) => status !== 403)).toEqual([]);
      expect(server.answers.length).toBeGreaterThan(12);
      expect(await namesIn(server.root)).toEqual(server.names.sort());
      expect(await readFile(path.join(server.root, 'f'), 'utf8')).toBe(SECRET);
    });

    it('cannot be the server by its name (DNS rebinding)', async () => {
      const server = await start();
      const page = await open('about:blank');
      const answer = await page.goto(`http://evil.example:${server.port}/f`);
      expect(answer?.status()).toBe(421);
      expect(await page.content()).not.toContain(SECRET);
    });

    it('can link to a file, which is shown to whoever follows the link', async () => {
      const server = await start();
      const port = await startForeign(`<!doctype html><a href="${server.url}/f">log</a>`);
      const page = await open(`http://evil.example:${port}/`);
      await page.click('a');
      await page.waitForURL(`${server.url}/f`);
      await page.getByText(SECRET).waitFor();
    });

    it('that is allowed can do everything that scripts can see', async () => {
      const port = await startForeign();
      const server = await start({ corsOrigins: [`http://evil.example:${port}`] });
      const page = await open(`http://evil.example:${port}/`);
      expect(await attemptsOf(page, server.url)).toEqual(ALL);
    });
  });

  it('a page of the same origin can do everything', async () => {
    const server = await start({ prefix: '/logs' });
    const page = await open(`${server.url}/page`);
    const did = await attemptsOf(page, `${server.url}/logs`);
    expect(did).toEqual([...ALL, 'image', 'script', 'style'].sort());
  });

  const ATTACK = `
    const outcome = { ran: true };
    const tell = () => document.documentElement.setAttribute('data-outcome', JSON.stringify(outcome));
    try { outcome.storage = typeof localStorage } catch (error) { outcome.storage = error.name }
    const refused = () => false;
    const socket = (url) => new Promise((resolve) => {
      const made = new WebSocket(url.replace('http', 'ws'));
      made.onopen = () => resolve(true);
      made.onerror = () => resolve(false);
    });
    const base = location.href.replace(/[^/]*$/, '');
    Promise.all([
      fetch(base + 'f', { method: 'DELETE' }).then(() => true, refused),
      fetch(base + 'f').then(() => true, refused),
      fetch(base + 'new?verb=APPEND', { method: 'POST', mode: 'no-cors', body: 'x' }).then(() => false, refused),
      socket(base + 'f'),
      socket(base + 'new?verb=APPEND'),
    ]).then((did) => { outcome.did = did; tell(); });
  `;
  const CDATA = `<script>//<![CDATA[\n${ATTACK}\n//]]></script>`;
  const XHTML = 'http://www.w3.org/1999/xhtml';

  describe('a report that somebody has stored', () => {
    it.each([
      ['report.html', undefined, `<!doctype html><title>r</title><p>report<script>${ATTACK}</script>`],
      ['report.txt', 'text/html', `<!doctype html><title>r</title><p>report<script>${ATTACK}</script>`],
      ['report.xhtml', undefined, `<html xmlns="${XHTML}"><body><p>report</p>${CDATA}</body></html>`],
      ['report.svg', undefined, `<svg xmlns="http://www.w3.org/2000/svg"><text>report</text>${CDATA}</svg>`],
      [
        'report.xml',
        undefined,
        `<x><b xmlns="${XHTML}">report</b>${CDATA.replace('>', ` xmlns="${XHTML}">`)}</x>`,
      ],
    ])('has none of the rights of the server, be its scripts run (%s as %s)', async (name, type, content) => {
      const server = await start({ pageScripts: true });
      const url = `${server.url}/${name}`;
      if (type === undefined) await writeFile(path.join(server.root, name), content);
      else await fetch(url, { method: 'PUT', headers: { 'content-type': type }, body: content });
      const page = await open(url);
      const told = page.locator('[data-outcome]');
      await told.waitFor({ state: 'attached' });
      expect(JSON.parse((await told.getAttribute('data-outcome')) ?? '')).toEqual({
        ran: true,
        storage: 'SecurityError',
        did: [false, false, false, false, false],
      });
      expect(await namesIn(server.root)).toEqual([...server.names, name].sort());
      expect(await readFile(path.join(server.root, 'f'), 'utf8')).toBe(SECRET);
    });

    it('runs nothing, unless that is wanted', async () => {
      const server = await start();
      await writeFile(
        path.join(server.root, 'report.html'),
        '<!doctype html><title>report</title><p onclick="document.title = 1">text</p><script>document.title = 2</script>',
      );
      const page = await open(`${server.url}/report.html`);
      await page.click('p');
      expect(await page.title()).toBe('report');
    });

    it('can be read, with its styles and images but without frames, and its links lead on', async () => {
      const server = await start({ pageScripts: true });
      await writeFile(
        path.join(server.root, 'report.html'),
        `<!doctype html><style>h1 { color: rgb(4, 5, 6) }</style><h1 style="width: 77px">report</h1>
        <link rel="stylesheet" href="style.css"><p>text</p><script src="script.js"></script>
        <img src="data:image/png;base64,${RED_DOT}"><img src="dot.png"><iframe src="other.html"></iframe>
        <a href="other.html">another</a>`,
      );
      await writeFile(path.join(server.root, 'other.html'), '<img src="dot.png"><a href="f">the log</a>');
      const page = await open(`${server.url}/report.html`);
      expect(await page.textContent('h1')).toBe('report');
      const shown = await page.evaluate(`({
        color: getComputedStyle(document.querySelector('h1')).color,
        width: document.querySelector('h1').offsetWidth,
        text: getComputedStyle(document.querySelector('p')).color,
        title: document.title,
        images: [...document.images].map(({ naturalWidth }) => naturalWidth),
      })`);
      expect(shown).toEqual({
        color: 'rgb(4, 5, 6)',
        width: 77,
        text: 'rgb(1, 2, 3)',
        title: 'ran',
        images: [1, 1],
      });
      // It could as well be in a stranger's.
      expect(await page.frames()[1]?.evaluate('document.images.length')).toBe(0);
      await page.click('a');
      await page.waitForURL(/other/);
      expect(await page.evaluate('document.images[0].naturalWidth')).toBe(1);
      await page.click('a');
      await page.waitForURL(`${server.url}/f`);
      await page.getByText(SECRET).waitFor();
    });

    it('has a path that a page of another origin does not know, and that is good for nothing but to be shown', async () => {
      const server = await start();
      await writeFile(path.join(server.root, 'report.html'), '<!doctype html><p>report');
      const page = await open(`${server.url}/report.html`);
      const shownAt = page.url().replace(/\/[^/]*$/, '');
      const strangers = `http://evil.example:${await startForeign()}/`;
      const guessed = shownAt.replace(/page\/[^/]+/, 'page/guessed');
      expect(await attemptsOf(await open(strangers), guessed)).toEqual([]);
      // Whoever was told the path can show what is there, and still read or write nothing.
      expect(await attemptsOf(await open(strangers), shownAt)).toEqual(['image', 'script', 'style']);
      expect(await namesIn(server.root)).toEqual([...server.names, 'report.html'].sort());
      expect(await readFile(path.join(server.root, 'f'), 'utf8')).toBe(SECRET);
    });
  });

  it('a listing runs nothing, whatever the names in it are', async () => {
    const server = await start();
    for (const name of [
      '<img src=x onerror=document.title="ran">',
      '"><script>document.title="ran"</script>',
    ]) {
      await fetch(`${server.url}/${encodeURIComponent(name)}`, { method: 'PUT', body: 'x' });
    }
    await writeFile(path.join(server.root, 'index.html'), '<title>index</title>');
    const page = await open(`${server.url}/?raw`);
    expect(await page.title()).toBe('/');
    expect(await page.locator('a').count()).toBe((await namesIn(server.root)).length);
    expect(await page.locator('img, script').count()).toBe(0);
  });
}
