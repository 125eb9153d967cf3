import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { buffer } from 'node:stream/consumers';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { serve } from '../support/http/servers.ts';
import { PATIENCE_MS } from '../support/patience.ts';
import { CHROMIUM, connectChromium } from '../support/programs/chromium.ts';
import { waitFor } from '../support/wait-for.ts';

const DIST = path.join(import.meta.dirname, '../../dist');
const PARSER = path.join(import.meta.dirname, '../../node_modules/eventsource-parser/dist/index.js');

/** A page as an application makes it: it imports what browsers are given, without a bundler. */
const PAGE = `<!doctype html>
<script type="importmap">{ "imports": { "httpfstream/http": "/lib/http.js", "eventsource-parser": "/eventsource-parser.js" } }</script>
<script type="module">
  import * as http from 'httpfstream/http';
  window.http = http;
</script>`;

/** Serves the page, the modules, and what the page asks for. `seen` is what has come, and `open` how many answers there are. */
async function start() {
  const seen: { method: string; url: string; type: string; body: Buffer }[] = [];
  const state = { open: 0 };
  const url = await serve(async (request, response) => {
    const { method = '', url = '', headers } = request;
    if (url === '/') {
      response.writeHead(200, { 'content-type': 'text/html' }).end(PAGE);
    } else if (url === '/favicon.ico') {
      response.writeHead(404).end();
    } else if (url.endsWith('.js')) {
      const file = url === '/eventsource-parser.js' ? PARSER : path.join(DIST, url);
      response.writeHead(200, { 'content-type': 'text/javascript' }).end(await readFile(file));
    } else {
      const body = await buffer(request);
      seen.push({ method, url, type: headers['content-type'] ?? '', body });
      if (url === '/lines') response.end('one\r\ntwo\nthree');
      else if (url === '/events') response.end('id: 1\ndata: a\n\nevent: b\ndata: c\n\ndata: cut');
      else if (url === '/404')
        response.writeHead(404, { 'content-type': 'application/problem+json' }).end('{"detail":"gone"}');
      else if (url === '/endless') {
        state.open++;
        response.once('close', () => state.open--);
        response.write('first\n');
      } else response.end(`${method} ${body.length}`);
    }
  });
  return { url, seen, state };
}

if (CHROMIUM === undefined) {
  process.stderr.write(
    'No Chromium (/usr/bin/chromium, or CHROMIUM): the HTTP client in browsers is not tested.\n',
  );
  describe('without a browser', () => {
    it('there is nothing to test', () => undefined);
  });
} else {
  describe('in Chromium', () => {
    let browser: Browser;
    let page: Page;
    beforeAll(async () => {
      browser = await connectChromium();
      // Of all tests: each new one would be a process of its own.
      page = await browser.newPage();
      page.setDefaultTimeout(PATIENCE_MS);
    });
    afterAll(() => browser?.close());

    async function open() {
      const server = await start();
      onTestFinished(async () => void (await page.goto('about:blank')));
      await page.goto(server.url);
      await page.waitForFunction('window.http');
      return { ...server, run: (script: string) => run(page, script) };
    }

    /** Runs the body of an async function, in which \`own\` is a client of the page's server. */
    const run = (page: Page, script: string) =>
      page.evaluate(`(async () => {
        const { client, ok, text, json, bytes, lines, ndjson, events, logging, concurrency, retry, bearer, StatusError } = window.http;
        const own = client(location.origin);
        const all = async (iterable) => { const items = []; for await (const item of iterable) items.push(item); return items; };
        ${script}
      })()`);

    it('requests are sent and answers read', async () => {
      const { run, url } = await open();
      expect(
        await run(
          "const r = await ok(await own.get('/a').query('b', 'c').send()); return [await text(r), r.url];",
        ),
      ).toEqual(['GET 0', `${url}/a?b=c`]);
      expect(await run("return all(lines(await own.get('/lines').send()));")).toEqual([
        'one',
        'two',
        'three',
      ]);
      expect(await run("return all(events(await own.get('/events').send()));")).toEqual([
        { id: '1', data: 'a' },
        { event: 'b', data: 'c' },
      ]);
      const error =
        "return own.get('/404').send().then(ok).catch((e) => [e instanceof StatusError, e.status, e.message]);";
      expect(await run(error)).toEqual([true, 404, 'HTTP status 404: gone']);
    });

    it('a form with a file is sent as one Blob', async () => {
      const { run, seen } = await open();
      const script = `
        const file = new File([new Uint8Array(100_000)], 'ä "file".bin', { type: 'image/x' });
        return text(await own.multipart('/form').field('a', 'b').file('f', file.name, file).progress(() => {}).send());
      `;
      expect(await run(script)).toMatch(/^POST 100\d\d\d$/);
      expect(seen[0]?.type).toMatch(/^multipart\/form-data; boundary=----httpfstream-/);
      expect(seen[0]?.body.toString('latin1')).toContain('Content-Type: image/x');
      expect(seen[0]?.body.toString()).toContain('filename="ä %22file%22.bin"');
    });

    it('text can be compressed on the way', async () => {
      const { run, seen } = await open();
      await run("await own.post('/gzip').body('x'.repeat(10_000)).gzip().send();");
      expect(seen[0]?.body.length).toBeLessThan(100);
    });

    it('a stream is refused with an error over HTTP/1.1, and its source is ended', async () => {
      const { run } = await open();
      const script = `
        let isEnded = false;
        const body = new ReadableStream({ cancel() { isEnded = true; } });
        const code = await own.post('/').body(body).send().catch((e) => e.code);
        return [code, isEnded];
      `;
      expect(await run(script)).toEqual(['HFS_CONNECTION', true]);
    });

    it('an abort, a limit and a loop that is left close the connection', async () => {
      const { run, state } = await open();
      const aborted = `
        const c = new AbortController();
        const r = await own.get('/endless').signal(c.signal).send();
        setTimeout(() => c.abort(new Error('enough')), 20);
        return text(r).catch((e) => e.message);
      `;
      expect(await run(aborted)).toBe('enough');
      expect(
        await run(
          "try { await text(await own.get('/endless').idleTimeout(50).send()); } catch (e) { return e.code; }",
        ),
      ).toBe('HFS_TIMEOUT');
      expect(
        await run("for await (const line of lines(await own.get('/endless').send())) return line;"),
      ).toBe('first');
      await waitFor(() => state.open === 0, 'the connections to be closed');
    });

    it('middleware works as elsewhere', async () => {
      const { run, seen } = await open();
      const script = `
        const notes = [];
        const log = logging({ info: (o, m) => notes.push(m.replace(location.origin, '')), error: (o, m) => notes.push(m) });
        const wrapped = own.use(log, concurrency(1), retry(), bearer('token'));
        await Promise.all([text(await wrapped.get('/1').send()), wrapped.put('/2').json({ a: 1 }).send().then(text)]);
        return notes;
      `;
      expect(await run(script)).toEqual(['GET /1 200', 'PUT /2 200']);
      expect(seen.map(({ type }) => type)).toEqual(['', 'application/json']);
    });
  });
}
