import { mkdir, rm, truncate, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { ViewerBrowser } from '../support/page/viewer-browser.ts';
import { ViewerServer } from '../support/page/viewer-server.ts';
import { RuleAccess } from '../support/server/rule-access.ts';
import { standaloneForAll } from '../support/server/server-for-all.ts';
import { waitFor } from '../support/wait-for.ts';
import { V2Peer } from '../support/websocket/v2-peer.ts';

/** Names that must not run, lead elsewhere or turn around what is beside them. */
const HOSTILE_NAMES = [
  '"><img src=x onerror="window.ran = 1">',
  "'-window.ran=1-'",
  '<script>window.ran = 1<%2fscript>',
  'javascript:window.ran=1',
  '\u202egnp.exe',
];

const RED_DOT = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
);

/** How many of its bytes a browser keeps back of a sound that comes, and some more. */
const SOUND_BYTES = 2_000_000;

/** The beginning of a sound that goes on for long: of silence. */
function beginningOfSound(): Buffer {
  const header = Buffer.alloc(44);
  header.write('RIFF\xff\xff\xff\x7fWAVEfmt \x10\0\0\0\x01\0\x01\0', 'latin1');
  header.writeUInt32LE(8000, 24);
  header.writeUInt32LE(8000, 28);
  header.writeUInt16LE(1, 32);
  header.writeUInt16LE(8, 34);
  header.write('data\xdb\xff\xff\x7f', 36, 'latin1');
  return Buffer.concat([header, Buffer.alloc(SOUND_BYTES, 0x80)]);
}

/** What a grid says: the text of each row's cells. */
const namesIn = (page: Page) => page.locator('.entry .name > a').allTextContents();

/** The rows of a hex view, without what is between their columns. */
const hexRowsIn = (page: Page) => page.locator('.hex-row').allTextContents();

const common = standaloneForAll();
const browser = ViewerBrowser.forAllTests();

describe.runIf(ViewerBrowser.isThere)('the page of a directory', () => {
  it('sorts and filters any number of entries, of which those in view are in the document', async () => {
    const server = await common.guest();
    const write = (name: string, text: string) => writeFile(path.join(server.root, name), text);
    for (let index = 0; index < 400; index++) await write(`build-${index}.log`, '');
    await write('large', 'x'.repeat(5000));
    const look = await browser.open(server.url('/'));
    const { page } = look;
    await page.getByText('build-0.log').waitFor();
    expect((await namesIn(page)).slice(0, 12).at(-1)).toBe('build-11.log');
    expect(await page.locator('.entry').count()).toBeLessThan(60);

    await look.press('End');
    await page.getByText('large').waitFor();
    expect(await page.getByText('build-0.log').count()).toBe(0);
    await page.getByRole('button', { name: 'Size' }).click();
    await look.press('Home');
    await waitFor(async () => (await namesIn(page))[0] === 'large', 'the largest to be the first');

    await look.press('/');
    await page.keyboard.type('log build-39');
    await waitFor(async () => (await namesIn(page)).length === 11, 'eleven names to be left');
    await page.getByText('11 of 401 entries').waitFor();
    await look.press('ArrowDown');
    await look.press('ArrowDown');
    await look.press('Enter');
    await page.waitForURL(server.url('/build-390.log'));
  });

  it('shows names as they are, and runs none', async () => {
    const server = await common.guest();
    for (const name of HOSTILE_NAMES) await writeFile(path.join(server.root, name), 'x');
    const look = await browser.open(server.url('/'));
    await look.page.getByText('javascript:').waitFor();
    const shown = HOSTILE_NAMES.map((name) => name.replace('\u202e', '\\u202e'));
    expect((await namesIn(look.page)).sort()).toEqual(shown.sort());
    for (const name of HOSTILE_NAMES) {
      const links = look.page.locator('.entry .name > a');
      const href = await links
        .nth(shown.indexOf(name.replace('\u202e', '\\u202e')))
        .evaluate((link) => link.href);
      expect(new URL(href).origin).toBe(new URL(server.url('/')).origin);
    }
    await look.expectHarmless();
  });

  it('shows what changes: names that come and go, sizes, and how appends stand', async () => {
    const server = await ViewerServer.start();
    await writeFile(path.join(server.root, 'old.log'), 'x');
    const look = await browser.open(server.url('/'));
    const entry = (name: string, text: string) =>
      look.page.locator('.entry', { hasText: name }).filter({ hasText: text }).waitFor();
    await look.state('Live');
    await entry('old.log', '1 B');
    // Of what lies there nothing is to be told.
    expect(await look.page.locator('.entry .state').count()).toBe(0);
    const appender = await V2Peer.append(server.url('/new.log'));
    await entry('new.log', 'Live');
    await appender.append('x'.repeat(2048), 2048);
    await entry('new.log', '2.0 KiB');
    await appender.finish();
    await entry('new.log', 'Finished');
    await rm(path.join(server.root, 'old.log'));
    await waitFor(async () => (await namesIn(look.page)).join() === 'new.log', 'the other one to be gone');
    await server.stop();
    await look.state('Reconnecting');
    await writeFile(path.join(server.root, 'later.log'), 'x');
    await server.start();
    await entry('later.log', '1 B');
    await look.state('Live');
    await look.expectHarmless();
  });

  it('opens by Enter the row that was chosen, and no other one when that is gone', async () => {
    const server = await common.guest();
    const at = (name: string) => path.join(server.root, name);
    for (const name of ['a.log', 'b.log', 'c.log']) await writeFile(at(name), name);
    const look = await browser.open(server.url('/'));
    await look.page.getByText('c.log').waitFor();
    await look.press('Enter');
    await look.press('ArrowDown');
    await look.press('ArrowDown');
    await look.page.locator('.active', { hasText: 'b.log' }).waitFor();
    await rm(at('b.log'));
    await waitFor(async () => (await namesIn(look.page)).length === 2, 'the chosen one to be gone');
    await look.press('Enter');
    await writeFile(at('d.log'), '');
    await look.page.getByText('d.log').waitFor();
    expect(look.page.url()).toBe(server.url('/'));
    await look.press('ArrowDown');
    await look.press('Enter');
    await look.page.waitForURL(server.url('/c.log'));
  });

  it('is sorted, filtered, read again and left by keys', async () => {
    const server = await common.guest();
    const directory = path.join(server.root, 'd');
    await mkdir(directory);
    for (const [name, bytes] of [
      ['b2', 3],
      ['b10', 1],
      ['a', 2],
    ] as const) {
      await writeFile(path.join(directory, name), 'x'.repeat(bytes));
      await utimes(path.join(directory, name), 1000 + bytes, 1000 + bytes);
    }
    const look = await browser.open(server.url('/d/'));
    const { page } = look;
    const press = (key: string) => look.press(key);
    const shows = (...names: string[]) =>
      waitFor(async () => (await namesIn(page)).join() === names.join(), names.join());
    await shows('a', 'b2', 'b10');
    await press('n');
    await shows('b10', 'b2', 'a');
    await press('s');
    await shows('b2', 'a', 'b10');
    await press('m');
    await press('m');
    await shows('b10', 'a', 'b2');
    await press('/');
    for (const key of ['b', '2']) await press(key);
    await shows('b2');
    await press('Escape');
    await shows('b10', 'a', 'b2');
    const again = page.waitForRequest(/view=list/);
    await press('r');
    await again;
    await press('u');
    await page.waitForURL(server.url('/'));
  });

  it('comes back when the directory was deleted, and is made again', async () => {
    const server = await common.guest();
    const directory = path.join(server.root, 'd');
    await mkdir(directory);
    await writeFile(path.join(directory, 'old.log'), '');
    const look = await browser.open(server.url('/d/'));
    await look.page.getByText('old.log').waitFor();
    await look.state('Live');
    await rm(directory, { recursive: true });
    await look.state('Deleted');
    await mkdir(directory);
    await writeFile(path.join(directory, 'new.log'), '');
    await look.page.getByText('new.log').waitFor();
    await look.state('Live');
    expect(await namesIn(look.page)).toEqual(['new.log']);
  });

  it('asks for a token in its place', async () => {
    const access = new RuleAccess({ secret: { rules: { '/**': ['list', 'follow'] } } });
    const server = await ViewerServer.start({ access });
    await writeFile(path.join(server.root, 'f.log'), 'x');
    const look = await browser.open(server.url('/'));
    await look.page.getByLabel('Token').fill('wrong');
    await look.press('Enter');
    await look.page.getByText('may not read this').waitFor();
    await look.page.getByLabel('Token').fill('secret');
    await look.press('Enter');
    await look.page.getByText('f.log').waitFor();
    await look.expectHarmless();
  });
});

describe.runIf(ViewerBrowser.isThere)('the page of bytes that are no text', () => {
  it('shows them at any place of any size, and as they come', async () => {
    const server = await common.guest();
    const file = path.join(server.root, 'f.bin');
    await writeFile(file, Buffer.from('\0<b>&\xff', 'latin1'));
    await truncate(file, 5 * 2 ** 30);
    const look = await browser.open(server.url('/f.bin'));
    const { page } = look;
    await page.getByText('00 3c 62 3e 26 ff').waitFor();
    await look.press('End');
    await page.getByText('13ffffff0').waitFor();
    await look.press('g');
    await page.keyboard.type('-0x20');
    await look.press('Enter');
    await page.locator('.linked .bytes', { hasText: '00 00' }).waitFor();
    expect(new URL(page.url()).hash).toBe('#0x13fffffe0');
    await page.goto(server.url('/f.bin#0x140000000'));
    await look.expectHarmless();
  });

  it('stays at the end while bytes come', async () => {
    const server = await common.guest();
    const appender = await V2Peer.append(server.url('/f.bin'));
    await appender.append(Buffer.alloc(4000, 1), 4000);
    const look = await browser.open(server.url('/f.bin?view'));
    await look.state('Live');
    await look.press('End');
    await look.page.getByText('00000f90').waitFor();
    await appender.send(Buffer.from('\x02\x03\x04'.repeat(100), 'latin1'));
    await waitFor(
      async () => (await hexRowsIn(look.page)).at(-1)?.startsWith('000010c0') === true,
      'the last row',
    );
    await appender.finish();
    await look.state('Finished');
  });
});

describe.runIf(ViewerBrowser.isThere)('the page of records', () => {
  it('shows them in columns as they come, and one of them as a tree', async () => {
    const server = await common.guest();
    const appender = await V2Peer.append(server.url('/r.ndjson'));
    const first = '{"level":"info","<b>":{"deep":["<img src=x onerror=ran=1>"]}}\nno json\n';
    await appender.append(first, first.length);
    const look = await browser.open(server.url('/r.ndjson'));
    const { page } = look;
    await look.row('info   {deep: ["<img src=x onerror=ran=1>"]}  ');
    await look.row('no JSON no json');
    expect(await page.locator('.record-columns').textContent()).toMatch(/^level {2}<b> *$/);
    await appender.send('{"level":"warn"}\n');
    await look.row(`warn ${' '.repeat(41)}`);

    await look.press('Enter');
    const tree = page.locator('.tree');
    await tree.getByRole('button', { name: '<b>' }).click();
    await tree.getByRole('button', { name: 'deep' }).click();
    expect(await tree.locator('li').allTextContents()).toEqual([
      '▾{2}',
      'level: info',
      '▾<b>: {1}',
      '▾deep: [1]',
      '0: <img src=x onerror=ran=1>',
    ]);
    await look.press(']');
    await page.getByText('This line is no record').waitFor();
    await look.press(']');
    await waitFor(
      async () => (await tree.locator('li').allTextContents()).at(-1) === 'level: warn',
      'the next one',
    );
    await look.press('Escape');
    await look.press('t');
    await look.row('{level: "warn"}');
    await look.expectHarmless();
  });
});

describe.runIf(ViewerBrowser.isThere)('a search in records', () => {
  it('leaves the columns in view, wherever in the file the match is', async () => {
    const server = await common.guest();
    const wide = Object.fromEntries(Array.from('abcdefgh', (key) => [key, 'x'.repeat(500)]));
    const records = Array.from({ length: 100 }, () => ({ level: 'info', ...wide }));
    const text = [...records, { ...wide, level: 'needle' }].map((record) => `${JSON.stringify(record)}\n`);
    await writeFile(path.join(server.root, 'r.ndjson'), text.join(''));
    const look = await browser.open(server.url('/r.ndjson'));
    await waitFor(async () => (await look.rows()).at(-1)?.startsWith('needle  xxx') === true, 'a wide table');
    await look.press('/');
    await look.page.getByLabel('Search in the whole file').fill('needle');
    await look.page.locator('.row.found').waitFor();
    expect(await look.page.locator('.log').evaluate((log) => log.scrollLeft)).toBe(0);
  });
});

describe.runIf(ViewerBrowser.isThere)('the page of a picture or a sound', () => {
  it('shows a picture, and says of what is none that it cannot', async () => {
    const server = await common.guest();
    await writeFile(path.join(server.root, 'p.png'), RED_DOT);
    await writeFile(path.join(server.root, 'none.png'), RED_DOT.subarray(0, 20));
    const look = await browser.open(server.url('/p.png'));
    await waitFor(
      () => look.page.locator('img').evaluate((image) => image.naturalWidth === 1),
      'the picture',
    );
    await look.page.goto(server.url('/none.png'));
    await look.page.getByText('cannot show this').waitFor();
    await look.expectHarmless();
  });

  it('copies into the page what needs a token, which it asks for', async () => {
    const access = new RuleAccess({ secret: { rules: { '/**': ['follow'] } } });
    const server = await ViewerServer.start({ access });
    await writeFile(path.join(server.root, 'p.png'), RED_DOT);
    const look = await browser.open(server.url('/p.png'));
    await look.page.getByLabel('Token').fill('secret');
    await look.press('Enter');
    await waitFor(
      () => look.page.locator('img').evaluate((image) => image.naturalWidth === 1),
      'the picture',
    );
    expect(await look.page.locator('img').getAttribute('src')).toMatch(/^blob:/);
    await look.expectHarmless();
  });

  it('plays what is still being written', async () => {
    const server = await common.guest();
    const appender = await V2Peer.append(server.url('/s.wav'));
    const sound = beginningOfSound();
    await appender.append(sound, sound.length);
    const look = await browser.open(server.url('/s.wav'));
    await look.state('Live');
    const audio = look.page.locator('audio');
    await audio.evaluate((element) => {
      element.muted = true;
      void element.play();
    });
    await waitFor(() => audio.evaluate((element) => element.currentTime > 0), 'it to play');
    await look.expectHarmless();
  });
});

describe.runIf(ViewerBrowser.isThere)('the console of a browser', () => {
  it.each([
    ['a text', 'f.log', 'Append'],
    ['records', 'f.ndjson', 'Append'],
    ['bytes', 'f.bin', undefined],
    ['a picture', 'f.png', undefined],
    ['a sound', 'f.wav', undefined],
    ['a film', 'f.webm', undefined],
    ['a directory', '', 'Upload'],
  ])('has nothing of the page of %s', async (_, name, button) => {
    const server = await common.guest();
    const contents: Record<string, Buffer> = {
      'f.log': Buffer.from('text\n'),
      'f.ndjson': Buffer.from('{"a":1}\n'),
      'f.bin': Buffer.alloc(100, 1),
      'f.png': RED_DOT,
      'f.wav': beginningOfSound(),
      'f.webm': beginningOfSound(),
    };
    for (const [file, bytes] of Object.entries(contents))
      await writeFile(path.join(server.root, file), bytes);
    const look = await browser.open(server.url(`/${name}`));
    await look.state(name === '' ? 'Live' : 'Stored');
    // It has asked all that it asks.
    if (button !== undefined) await look.page.getByRole('button', { name: button }).waitFor();
    look.expectQuiet();
  });

  it('has nothing of it either where nobody may append', async () => {
    const access = new RuleAccess({}, { '/**': ['follow', 'list'] });
    const server = await ViewerServer.start({ access });
    await writeFile(path.join(server.root, 'f.log'), 'text\n');
    for (const [urlPath, word] of [
      ['/', 'Live'],
      ['/f.log', 'Stored'],
    ] as const) {
      const look = await browser.open('about:blank');
      const asked = look.page.waitForResponse((answer) => answer.url().includes('view=append'));
      await look.page.goto(server.url(urlPath));
      await look.state(word);
      expect((await asked).status()).toBe(204);
      look.expectQuiet();
    }
  });
});
