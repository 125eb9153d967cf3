import { mkdir, writeFile } from 'node:fs/promises';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { ViewerBrowser } from '../support/page/viewer-browser.ts';
import { ViewerServer } from '../support/page/viewer-server.ts';
import { waitFor } from '../support/wait-for.ts';

const TEXT = { 'content-type': 'text/plain' };
const UNKEPT = { ...TEXT, 'cache-control': 'no-store' };
const KEPT = { ...TEXT, 'cache-control': 'max-age=3600' };

const browser = ViewerBrowser.forAllTests();

/** A relay of a plain HTTP server; and what that was asked for. */
async function startRelay(
  answer: http.RequestListener,
): Promise<{ relay: ViewerServer; upstream: http.Server; asked: string[] }> {
  const asked: string[] = [];
  const upstream = http.createServer((request, response) => {
    asked.push(request.url as string);
    answer(request, response);
  });
  await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    upstream.close();
    upstream.closeAllConnections();
  });
  const url = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`;
  return { relay: await ViewerServer.start({ upstreams: [url] }), upstream, asked };
}

describe.runIf(ViewerBrowser.isThere)('at a relay of a plain HTTP server, the page', () => {
  it('shows what is not kept as it is read, once, and says so', async () => {
    let response: http.ServerResponse | undefined;
    const { relay, asked } = await startRelay((_, answer) => {
      answer.writeHead(200, UNKEPT).write('one\n');
      response = answer;
    });
    const look = await browser.open(relay.url('/f.log'));
    await look.state('Loading');
    await look.row('one');
    response?.end('two\n');
    await look.row('two');
    await look.state('Not live');
    expect(await look.rows()).toEqual(['one', 'two']);
    await look.page.locator('.facts', { hasText: '2 lines' }).waitFor();
    // What is for this server is not told to others.
    expect(new Set(asked)).toEqual(new Set(['/f.log']));
  });

  it('shows as much of it as it keeps, and says that there is more', async () => {
    const { relay } = await startRelay((_, answer) => {
      answer.writeHead(200, UNKEPT).end('0123456789abcde\n'.repeat(2 ** 20 + 1));
    });
    const look = await browser.open(relay.url('/f.log'));
    await look.state('Not live, in part');
    await look.page.locator('.facts', { hasText: '16.0 MiB · 1,048,576 lines' }).waitFor();
    await look.press('Home');
    await look.page.locator('.number[data-note="1"]').waitFor();
    await look.row('0123456789abcde');
  });

  it('says that what was broken off is not all', async () => {
    const { relay } = await startRelay((_, answer) => {
      answer.writeHead(200, { ...UNKEPT, 'content-length': 100 });
      answer.write('one\n', () => answer.destroy());
    });
    const look = await browser.open(relay.url('/f.log'));
    await look.state('Failed');
    expect(await look.page.locator('.state').getAttribute('title')).toContain('something is missing');
  });

  it('waits for what is not there, and shows it when it is', async () => {
    let isThere = false;
    const { relay } = await startRelay((_, answer) => {
      if (isThere) answer.writeHead(200, UNKEPT).end('here\n');
      else answer.writeHead(404).end();
    });
    const look = await browser.open(relay.url('/f.log'));
    await look.state('Not there yet');
    isThere = true;
    await look.row('here');
    await look.state('Not live');
  });

  it('waits for a server that is away', async () => {
    const answer: http.RequestListener = (_, response) => void response.writeHead(200, UNKEPT).end('here\n');
    const { relay, upstream } = await startRelay(answer);
    const { port } = upstream.address() as AddressInfo;
    await new Promise((resolve) => upstream.close(resolve));
    const look = await browser.open(relay.url('/f.log'));
    await look.state('Reconnecting');
    await new Promise<void>((resolve) => upstream.listen(port, '127.0.0.1', resolve));
    await look.row('here');
    await look.state('Not live');
  });

  it('follows what is kept while it comes, and has all of it from here', async () => {
    let response: http.ServerResponse | undefined;
    const lines = Array.from({ length: 50_000 }, (_, index) => `line ${index + 1}`);
    const { relay, asked } = await startRelay((_, answer) => {
      answer.writeHead(200, KEPT).write(`${lines.join('\n')}\n`);
      response = answer;
    });
    const look = await browser.open(relay.url('/f.log'));
    await look.state('Live');
    await look.row('line 50000');
    response?.end('the end\n');
    await look.row('the end');
    await look.state('Finished');
    await look.press('Home');
    await look.row('line 1');
    // A browser says by itself with each handshake that it wants nothing that is kept; and this one was asked by nobody yet.
    await relay.stop();
    await relay.start();
    await look.page.reload();
    await look.row('the end');
    expect(asked).toEqual(['/f.log']);
  });

  it('gives way to what the browser shows by itself, and to what the server there shows of a directory', async () => {
    const { relay } = await startRelay(({ url }, answer) => {
      if (url === '/d') answer.writeHead(301, { location: '/d/' }).end();
      else if (url === '/guide')
        answer.writeHead(200, { ...UNKEPT, 'content-type': 'text/html' }).end('<p>It is HTML');
      else if (url === '/d/') answer.writeHead(200, { 'content-type': 'text/html' }).end('<p>Its own list');
      else if (url === '/q?id=7') answer.writeHead(200, UNKEPT).end('It is 7');
      else answer.writeHead(404, TEXT).end('Nothing of its own');
    });
    const { page } = await browser.open(relay.url('/guide'));
    await page.getByText('It is HTML').waitFor();
    for (const [asked, shown, at] of [
      ['/d', 'Its own list', '/d/'],
      ['/d/', 'Its own list', '/d/'],
      ['/none/', 'Nothing of its own', '/none/'],
      ['/q?id=7', 'It is 7', '/q?id=7'],
    ] as const) {
      await page.goto(relay.url(asked));
      await page.getByText(shown).waitFor();
      expect(page.url()).toBe(relay.url(at));
    }
  });

  it('gives way to nothing on another host, also where something before it merges slashes', async () => {
    const { relay } = await startRelay((_, answer) => {
      answer.writeHead(200, { ...UNKEPT, 'content-type': 'text/html' }).end('<p>It is HTML');
    });
    const { page } = await browser.open('about:blank');
    const place = relay.url('//127.0.0.1:1/guide');
    const isDoubled = ({ pathname }: URL) => pathname.startsWith('//');
    await page.route(isDoubled, async (route) => {
      const url = new URL(route.request().url());
      url.pathname = url.pathname.replace(/^\/+/, '/');
      if (url.pathname.endsWith('guide') && url.search === '') url.search = 'view';
      await route.fulfill({ response: await route.fetch({ url: url.href, maxRedirects: 0 }) });
    });
    onTestFinished(() => page.unroute(isDoubled));
    const next = page.waitForRequest((asked) => asked.isNavigationRequest() && asked.url().endsWith('?raw'));
    await page.goto(place);
    expect((await next).url()).toBe(`${place}?raw`);
  });
});

describe.runIf(ViewerBrowser.isThere)('at a relay of an httpfstream server, the page', () => {
  it('of a directory comes without a slash at its end, too', async () => {
    const origin = await ViewerServer.start();
    await mkdir(path.join(origin.root, 'd'));
    await writeFile(path.join(origin.root, 'd', 'f.log'), '');
    const relay = await ViewerServer.start({ upstreams: [origin.url('')] });
    const look = await browser.open(relay.url('/d'));
    await look.page.getByText('f.log').waitFor();
    await look.state('Live');
    await waitFor(() => look.page.url() === relay.url('/d/'), 'its own address');
  });
});
