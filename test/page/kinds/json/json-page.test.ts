import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Page } from 'playwright-core';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { LogLook } from '../../../support/page/log-look.ts';
import { ViewerBrowser } from '../../../support/page/viewer-browser.ts';
import { ViewerServer } from '../../../support/page/viewer-server.ts';
import { standaloneForAll } from '../../../support/server/server-for-all.ts';
import { sessionOf, V2Peer } from '../../../support/websocket/v2-peer.ts';

/** The script of a tree. */
const TREE_SCRIPT = '**/record-panel.*.js';

const common = standaloneForAll();
const browser = ViewerBrowser.forAllTests();

/** Keeps the script of trees back, of a server that no page had it from. @returns what lets it come, and waits until whoever has waited for it has gone on */
async function holdTreeScript(page: Page): Promise<() => Promise<void>> {
  let release = (): void => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  await page.route(TREE_SCRIPT, async (route) => {
    await released;
    await route.continue();
  });
  onTestFinished(() => page.unroute(TREE_SCRIPT));
  const asked = page.waitForRequest(TREE_SCRIPT);
  return async () => {
    release();
    const url = JSON.stringify((await asked).url());
    await page.evaluate(`import(${url}).then(() => new Promise((resolve) => setTimeout(resolve)))`);
  };
}

const isPressed = ({ page }: LogLook) =>
  page.getByRole('button', { name: 'Tree' }).getAttribute('aria-pressed');

describe.runIf(ViewerBrowser.isThere)('the page of a document of JSON', () => {
  it('shows it as a tree beside its text, as soon as it is whole', async () => {
    const server = await common.guest();
    const appender = await V2Peer.append(server.url('/d.json'));
    await appender.append('{"<b>": [1.50, {"deep": ', 24);
    const look = await browser.open(server.url('/d.json'));
    const { page } = look;
    await look.row('{"<b>": [1.50, {"deep": ');
    await look.state('Live');
    const tree = page.locator('.tree li');
    expect(await tree.count()).toBe(0);
    await appender.append('true}]}\n', 32);
    await look.row('{"<b>": [1.50, {"deep": true}]}');
    // What is being written is not called invalid.
    expect(await page.locator('.notice:visible').count()).toBe(0);
    await appender.finish();
    await page.getByRole('button', { name: '<b>' }).click();
    await page.getByRole('button', { name: '1', exact: true }).click();
    expect(await tree.allTextContents()).toEqual(['▾{1}', '▾<b>: [2]', '0: 1.50', '▾1: {1}', 'deep: true']);
    expect(await look.rows()).toEqual(['{"<b>": [1.50, {"deep": true}]}']);
    await look.press('Escape');
    await page.locator('.record-panel:visible').waitFor({ state: 'hidden' });
    await look.press('t');
    await tree.first().waitFor();
    await look.expectHarmless();
  });

  it.each([
    ['no valid JSON', '{"a": 1,}'],
    ['nested too deeply', '['.repeat(300) + ']'.repeat(300)],
    ['larger than 2.0 MiB', JSON.stringify(['x'.repeat(2 * 1024 * 1024)])],
  ])('shows the text of what is %s, and says so', async (why, content) => {
    const server = await common.guest();
    await writeFile(path.join(server.root, 'd.json'), content);
    const look = await browser.open(server.url('/d.json'));
    await look.page.locator('.notice', { hasText: why }).waitFor();
    expect(await look.page.locator('.record-panel:visible').count()).toBe(0);
    expect(await look.page.getByRole('button', { name: 'Tree' }).getAttribute('aria-pressed')).toBe('false');
  });

  it('cuts names and strings that would take long to lay out', async () => {
    const server = await common.guest();
    const content = JSON.stringify({ ['k'.repeat(1_000_000)]: [1], s: 'x'.repeat(900_000) });
    await writeFile(path.join(server.root, 'd.json'), content);
    const { page } = await browser.open(server.url('/d.json'));
    const key = `${'k'.repeat(500)}…`;
    const rows = page.locator('.tree li');
    await rows.first().waitFor();
    expect(await rows.nth(1).getByRole('button').getAttribute('aria-label')).toBe(key);
    expect(await rows.allTextContents()).toEqual([
      '▾{2}',
      `▸${key}: [1]`,
      `s: ${'x'.repeat(4000)}… (900,000 characters)`,
    ]);
  });

  it('leaves the focus where it is while the document grows', async () => {
    const server = await common.guest();
    const appender = await V2Peer.append(server.url('/d.json'), { session: sessionOf('a') });
    await appender.append('{"a": ', 6);
    const look = await browser.open(server.url('/d.json'));
    await look.state('Live');
    await look.press('/');
    const field = look.page.getByLabel('Search in the whole file');
    await field.fill('a');
    appender.websocket.terminate();
    await look.state('Waiting');
    expect(await field.evaluate((element) => element.matches(':focus'))).toBe(true);
  });

  it('gives the focus to the text when the tree that had it is closed', async () => {
    const server = await common.guest();
    await writeFile(path.join(server.root, 'd.json'), '{"a": [1]}');
    const look = await browser.open(server.url('/d.json'));
    await look.page.getByRole('button', { name: 'Close' }).click();
    await look.page.locator('.record-panel:visible').waitFor({ state: 'hidden' });
    expect(await look.page.evaluate('document.activeElement.className')).toBe('log');
  });

  it('shows no tree that was closed while it was loaded', async () => {
    const server = await ViewerServer.start();
    await writeFile(path.join(server.root, 'd.json'), '{"a": [1]}');
    const look = await browser.open('about:blank');
    const release = await holdTreeScript(look.page);
    await look.page.goto(server.url('/d.json'));
    await look.state('Stored');
    await look.press('t');
    await release();
    expect(await look.page.locator('.record-panel:visible').count()).toBe(0);
    expect(await isPressed(look)).toBe('false');
    await look.press('t');
    await look.page.locator('.tree li').first().waitFor();
  });

  it('shows no tree of what goes on meanwhile', async () => {
    const server = await ViewerServer.start();
    await writeFile(path.join(server.root, 'd.json'), '{"a": [1]}');
    const look = await browser.open('about:blank');
    const release = await holdTreeScript(look.page);
    await look.page.goto(server.url('/d.json'));
    await look.state('Stored');
    const appender = await V2Peer.append(server.url('/d.json'));
    await appender.append('\n', 11);
    await look.page.evaluate(`document.dispatchEvent(new Event('visibilitychange'))`);
    await look.state('Live');
    await release();
    expect(await look.page.locator('.record-panel:visible').count()).toBe(0);
    await appender.finish();
    await look.page.locator('.tree li').first().waitFor();
  });
});
