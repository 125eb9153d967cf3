import { appendFile, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import type { Page, Route } from 'playwright-core';
import { describe, expect, it, onTestFinished } from 'vitest';
import { ViewerBrowser } from '../support/page/viewer-browser.ts';
import { standaloneForAll } from '../support/server/server-for-all.ts';

const common = standaloneForAll();
const browser = ViewerBrowser.forAllTests();

/** The server, behind a proxy that makes of each handshake a request like any other. */
async function startBehindProxy(): Promise<{ root: string; url: (urlPath: string) => string }> {
  const { root, path: below } = await common.guest();
  const proxy = http.createServer(({ url = '', method, headers }, response) => {
    const { upgrade: _, connection: __, ...passed } = headers;
    const request = http.request(common.whole.url(url), { method, headers: passed }, (answer) => {
      response.writeHead(answer.statusCode as number, answer.headers);
      answer.on('error', () => response.destroy()).pipe(response);
    });
    request.on('error', () => response.destroy());
    response.on('close', () => request.destroy());
    request.end();
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    proxy.close();
    proxy.closeAllConnections();
  });
  const { port } = proxy.address() as AddressInfo;
  return { root, url: (urlPath) => `http://127.0.0.1:${port}${below(urlPath)}` };
}

/** How a list is asked for. */
const LIST = /\?view=list$/;

/** Answers like this who asks for a list first. */
async function answerFirstList(page: Page, answer: (route: Route) => Promise<void>): Promise<void> {
  await page.route(LIST, answer, { times: 1 });
  onTestFinished(() => page.unroute(LIST));
}

describe.runIf(ViewerBrowser.isThere)('where nothing passes WebSockets on, the page', () => {
  it('of a file shows what is there, and what comes when it looks again, and does not call it live', async () => {
    const { root, url } = await startBehindProxy();
    const file = path.join(root, 'f.log');
    await writeFile(file, 'one\n');
    const look = await browser.open(url('/f.log'));
    await look.state('Not live');
    await look.row('one');
    // As who comes back to the page has it look at once.
    const lookAgain = () => look.page.evaluate(`document.dispatchEvent(new Event('visibilitychange'))`);
    await appendFile(file, 'two\n');
    await lookAgain();
    await look.row('two');
    expect(await look.rows()).toEqual(['one', 'two']);
    await rm(file);
    await lookAgain();
    await look.state('Deleted');
  });

  it('of a file says so when nothing can be printed, since nothing of it is here', async () => {
    const { root, url } = await startBehindProxy();
    await writeFile(path.join(root, 'f.log'), 'one\n');
    const look = await browser.open('about:blank');
    // Its bytes do not come.
    const isBytes = /\/f\.log\?raw/;
    await look.page.route(isBytes, (route) =>
      route.request().headers().range === undefined ? route.continue() : undefined,
    );
    onTestFinished(() => look.page.unroute(isBytes));
    await look.page.goto(url('/f.log'));
    await look.state('Not live');
    await look.page.evaluate("dispatchEvent(new Event('beforeprint'))");
    const note = look.page.locator('.printed p');
    expect(await note.textContent()).toMatch(/^Nothing is printed/);
    expect(await note.getAttribute('hidden')).toBeNull();
  });

  it('of a directory shows its list', async () => {
    const { root, url } = await startBehindProxy();
    await writeFile(path.join(root, 'f.log'), 'one\n');
    const look = await browser.open(url('/'));
    await look.state('Listed');
    await look.page.getByText('f.log').first().waitFor();
  });

  it('of a directory shows it listed, too, when it is read anew before the list is there', async () => {
    const { root, url } = await startBehindProxy();
    await writeFile(path.join(root, 'f.log'), 'one\n');
    const look = await browser.open('about:blank');
    await answerFirstList(look.page, () => new Promise(() => {}));
    const asked = look.page.waitForRequest(LIST);
    await look.page.goto(url('/'));
    await asked;
    await look.press('r');
    await look.state('Listed');
    await look.page.getByText('f.log').first().waitFor();
  });

  it('of a directory asks again for a list that the server cannot give at the moment', async () => {
    const { root, url } = await startBehindProxy();
    await writeFile(path.join(root, 'f.log'), 'one\n');
    const look = await browser.open('about:blank');
    await answerFirstList(look.page, (route) => route.fulfill({ status: 503 }));
    await look.page.goto(url('/'));
    await look.page.getByText('the server answers 503').waitFor();
    await look.state('Listed');
    await look.page.getByText('f.log').first().waitFor();
    expect(await look.page.getByText('the server answers').isVisible()).toBe(false);
  });

  it('of a directory says that it has failed when the list is refused, and asks again for who wants that', async () => {
    const { root, url } = await startBehindProxy();
    await writeFile(path.join(root, 'f.log'), 'one\n');
    const look = await browser.open('about:blank');
    await answerFirstList(look.page, (route) => route.fulfill({ status: 400 }));
    await look.page.goto(url('/'));
    await look.page.getByText('the server answers 400').waitFor();
    await look.state('Failed');
    await look.press('r');
    await look.state('Listed');
    await look.page.getByText('f.log').first().waitFor();
  });
});
