import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Page, Request } from 'playwright-core';
import { describe, expect, it, onTestFinished } from 'vitest';
import { ViewerBrowser } from '../../support/page/viewer-browser.ts';
import { ViewerServer } from '../../support/page/viewer-server.ts';
import { RuleAccess } from '../../support/server/rule-access.ts';
import { temporaryDirectory } from '../../support/server/server.ts';
import { standaloneForAll } from '../../support/server/server-for-all.ts';
import { waitFor } from '../../support/wait-for.ts';

const common = standaloneForAll();
const own = ViewerBrowser.forAllTests();

/** Drops files and folders on a page, as somebody does who drags them there. */
async function drop(page: Page, files: readonly string[]): Promise<void> {
  const devtools = await page.context().newCDPSession(page);
  const data = { items: [], files: [...files], dragOperationsMask: 1 };
  for (const type of ['dragEnter', 'dragOver', 'drop'] as const) {
    await devtools.send('Input.dispatchDragEvent', { type, x: 300, y: 300, data });
  }
  await devtools.detach();
}

/** Opens a page, and waits until it knows whether whoever looks at it may append. */
async function openAsked(page: Page, url: string): Promise<void> {
  const asked = page.waitForResponse((answer) => answer.url().includes('view=append'));
  await page.goto(url);
  await (await asked).finished();
  await page.evaluate('new Promise((resolve) => setTimeout(resolve))');
}

describe.runIf(ViewerBrowser.isThere)('who may append', () => {
  it('drops files on a directory, or chooses them: all of each is there', async () => {
    const server = await common.guest();
    const look = await own.open(server.url('/'));
    const { page } = look;
    const large = randomBytes(3_000_000);
    await page.getByRole('button', { name: 'Upload' }).waitFor();
    await page.locator('input[type=file]').setInputFiles([
      { name: 'ä #1 %2F.bin', mimeType: 'application/octet-stream', buffer: large },
      { name: 'empty', mimeType: '', buffer: Buffer.alloc(0) },
    ]);
    const dropped = path.join(await temporaryDirectory(), 'dropped.txt');
    await writeFile(dropped, 'dropped');
    await drop(page, [dropped]);
    await waitFor(async () => (await page.locator('.upload[data-state=done]').count()) === 3, 'all of them');
    expect((await readFile(path.join(server.root, 'ä #1 %2F.bin'))).equals(large)).toBe(true);
    expect(await readFile(path.join(server.root, 'empty'), 'utf8')).toBe('');
    expect(await readFile(path.join(server.root, 'dropped.txt'), 'utf8')).toBe('dropped');
    await page.getByRole('link', { name: 'dropped.txt' }).waitFor();
    expect(await look.axeViolations()).toEqual([]);
    await look.expectHarmless();
  });

  it('drops folders, of which all that is in them is taken, each at its place', async () => {
    const server = await common.guest();
    const folder = path.join(await temporaryDirectory(), 'a folder');
    await mkdir(path.join(folder, 'deep', 'er'), { recursive: true });
    const names = Array.from({ length: 10 }, (_, index) => `deep/er/${index} #?%.txt`);
    for (const name of [...names, 'beside']) await writeFile(path.join(folder, name), name);
    const look = await own.open(server.url('/'));
    const { page } = look;
    await page.getByRole('button', { name: 'Upload' }).waitFor();
    let lists = 0;
    const countLists = (request: Request) => {
      if (request.url().endsWith('?view=list')) lists++;
    };
    page.on('request', countLists);
    onTestFinished(() => void page.off('request', countLists));
    await drop(page, [folder, path.join(folder, 'beside')]);
    await waitFor(async () => (await page.locator('.upload[data-state=done]').count()) === 12, 'all of them');
    for (const name of [...names, 'beside']) {
      expect(await readFile(path.join(server.root, 'a folder', name), 'utf8')).toBe(name);
    }
    expect(await readFile(path.join(server.root, 'beside'), 'utf8')).toBe('beside');
    // What comes is told anyway: it is not read anew for each of them.
    expect(lists).toBeLessThan(4);
    expect(page.url()).toBe(server.url('/'));
  });

  it('sees some of many files, and how many others there are', async () => {
    const server = await common.guest();
    const { page } = await own.open(server.url('/'));
    await page.getByRole('button', { name: 'Upload' }).waitFor();
    const names = Array.from({ length: 60 }, (_, index) => `${index}.log`);
    const files = names.map((name) => ({ name, mimeType: '', buffer: Buffer.alloc(0) }));
    await page.locator('input[type=file]').setInputFiles(files);
    await page.getByText('10 more are done').waitFor();
    await waitFor(async () => (await page.locator('.upload[data-state=done]').count()) === 50, 'the others');
    expect(await page.locator('.upload').count()).toBe(50);
    expect(await readdir(server.root)).toEqual(expect.arrayContaining(names));
  });

  it('goes on with a file of which a part is there, and leaves another one alone', async () => {
    const server = await common.guest();
    const bytes = randomBytes(300_000);
    const at = (name: string) => path.join(server.root, name);
    await writeFile(at('part'), bytes.subarray(0, 100_000));
    await writeFile(at('whole'), bytes);
    await writeFile(at('other'), 'something else');
    const edited = Buffer.from(bytes);
    edited[0]! ^= 1;
    await writeFile(at('edited'), edited);
    const { page } = await own.open(server.url('/'));
    await page.getByRole('button', { name: 'Upload' }).waitFor();
    const files = ['part', 'whole', 'other', 'edited'].map((name) => ({ name, mimeType: '', buffer: bytes }));
    await page.locator('input[type=file]').setInputFiles(files);
    const failed = page.locator('.upload[data-state=failed]');
    await waitFor(async () => (await failed.count()) === 2, 'the refusal of both');
    for (const text of await failed.allInnerTexts()) expect(text).toContain('another file');
    expect((await readFile(at('part'))).equals(bytes)).toBe(true);
    expect((await readFile(at('whole'))).equals(bytes)).toBe(true);
    expect(await readFile(at('other'), 'utf8')).toBe('something else');
    expect((await readFile(at('edited'))).equals(edited)).toBe(true);
  });

  it('uploads, once the server is back, what had not begun when it went', async () => {
    const server = await ViewerServer.start();
    const { page } = await own.open(server.url('/'));
    await page.getByRole('button', { name: 'Upload' }).waitFor();
    const choose = (name: string) =>
      page.locator('input[type=file]').setInputFiles([{ name, mimeType: '', buffer: Buffer.from(name) }]);
    await choose('before');
    await page.locator('.upload[data-state=done]').waitFor();
    await server.stop();
    await choose('given up');
    // As if the server went between its answer and the append.
    await page.route(/\/after\?raw/, (route) => route.fulfill({ status: 404 }), { times: 1 });
    await choose('after');
    await page.getByText('0 B of 8 B, reconnecting').waitFor();
    await page.getByRole('button', { name: 'Cancel given up' }).click();
    await page.getByText('0 B of 5 B, reconnecting').waitFor();
    await server.start();
    await waitFor(
      async () => (await page.locator('.upload[data-state=done]').count()) === 2,
      'the other one',
    );
    expect(await readFile(path.join(server.root, 'after'), 'utf8')).toBe('after');
    expect((await readdir(server.root)).includes('given up')).toBe(false);
  });

  it('types lines into a text, which are shown as they are appended, and ends it', async () => {
    const server = await common.guest();
    const file = path.join(server.root, 'a.log');
    await writeFile(file, 'first\n');
    const look = await own.open(server.url('/a.log'));
    const { page } = look;
    await page.getByRole('button', { name: 'Append' }).click();
    const line = page.getByLabel('A line to be appended');
    await line.fill('<b>second</b>');
    await line.press('Enter');
    await look.row('<b>second</b>');
    await look.state('Live');
    await line.fill('third');
    await line.press('Enter');
    await line.press('Escape');
    await look.state('Finished');
    await waitFor(async () => (await readFile(file, 'utf8')).endsWith('third\n'), 'the last line');
    expect(await readFile(file, 'utf8')).toBe('first\n<b>second</b>\nthird\n');
    expect(await look.axeViolations()).toEqual([]);
    await look.expectHarmless();
  });
});

describe.runIf(ViewerBrowser.isThere)('who may not append', () => {
  it('sees that nothing can be dropped, and stays there', async () => {
    const access = new RuleAccess({}, { '/**': ['follow', 'list'] });
    const server = await ViewerServer.start({ access });
    const file = path.join(server.root, 'a.log');
    await writeFile(file, 'text\n');
    const { page } = await own.open('about:blank');
    await openAsked(page, server.url('/'));
    await page.evaluate(`document.addEventListener('dragover', (event) => {
      window.said = [event.defaultPrevented, event.dataTransfer.dropEffect];
    })`);
    await drop(page, [file]);
    expect(await page.evaluate('window.said')).toEqual([true, 'none']);
    expect(page.url()).toBe(server.url('/'));
  });

  it('is offered nothing of that', async () => {
    const access = new RuleAccess({}, { '/**': ['follow', 'list'] });
    const server = await ViewerServer.start({ access });
    await writeFile(path.join(server.root, 'a.log'), 'text\n');
    for (const urlPath of ['/a.log', '/']) {
      const { page } = await own.open('about:blank');
      await openAsked(page, server.url(urlPath));
      expect(await page.getByRole('button', { name: /Upload|Append/ }).count()).toBe(0);
    }
  });
});
