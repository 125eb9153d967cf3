import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Page } from 'playwright-core';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { LogLook } from '../support/page/log-look.ts';
import { ViewerBrowser } from '../support/page/viewer-browser.ts';
import { ViewerServer } from '../support/page/viewer-server.ts';
import { RuleAccess } from '../support/server/rule-access.ts';
import { standaloneForAll } from '../support/server/server-for-all.ts';
import { sessionOf, V2Peer } from '../support/websocket/v2-peer.ts';

const PHONE_WIDTHS = [360, 390];

const PICTURE = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
);

const RECORDS = Array.from({ length: 200 }, (_, n) => `{"n":${n},"level":"info","what":"of it"}\n`).join('');

/** What there is of each kind, where it is, and what of it is waited for. */
const KINDS: readonly [kind: string, urlPath: string, shown: (page: Page) => Promise<unknown>][] = [
  ['a directory', '/d/', (page) => page.getByText('in it').waitFor()],
  ['a text', '/f.log', (page) => page.getByText('the last line').waitFor()],
  ['records', '/r.ndjson', (page) => page.getByText('of it').first().waitFor()],
  ['a document of JSON', '/d.json', (page) => page.locator('.tree li').first().waitFor()],
  ['bytes', '/f.bin', (page) => page.getByText('00 00').first().waitFor()],
  ['a picture', '/p.png', (page) => page.locator('img').waitFor()],
  ['a sound', '/s.wav', (page) => page.getByText('cannot show this').waitFor()],
  ['what is not there', '/d/later.log', (page) => page.getByText('The page waits for it').waitFor()],
];

/** What people open over a page, and what of it is waited for. */
const PANELS: readonly [panel: string, urlPath: string, open: (look: LogLook) => Promise<unknown>][] = [
  [
    'the search',
    '/f.log',
    async (look) => {
      await look.press('/');
      await look.page.getByLabel('Search in the whole file').fill('line');
      await look.page.getByText(/^\d+ of \d+$/).waitFor();
    },
  ],
  [
    'the lines that match',
    '/f.log',
    async (look) => {
      await look.press('/');
      await look.page.getByRole('button', { name: 'Only lines that match' }).click();
      await look.page.getByLabel('Search in the whole file').fill('last');
      await look.page.locator('.filtered .row').waitFor();
    },
  ],
  [
    'a record',
    '/r.ndjson',
    async (look) => {
      await look.page.getByText('of it').last().click();
      await look.page.locator('.tree li').first().waitFor();
    },
  ],
  [
    'the keys of a directory',
    '/d/',
    async (look) => {
      await look.press('?');
      await look.page.getByRole('dialog').waitFor();
    },
  ],
];

const common = standaloneForAll();
const browser = ViewerBrowser.forAllTests();

beforeAll(async () => {
  const { root } = common.whole;
  const write = (name: string, content: string | Buffer) => writeFile(path.join(root, name), content);
  await mkdir(path.join(root, 'd/with a name that is longer than a telephone is wide'), {
    recursive: true,
  });
  await write('d/in it', 'x');
  await write('f.log', `${'a line\n'.repeat(100)}the last line\n`);
  await write('r.ndjson', RECORDS);
  await write('d.json', JSON.stringify({ a: [1, 2, { b: null }] }, undefined, 2));
  await write('f.bin', Buffer.alloc(4000));
  await write('p.png', PICTURE);
  await write('s.wav', 'none\0');
});

/** In the light, and in the dark, where only colours are others. */
async function expectNoViolations(look: LogLook): Promise<void> {
  onTestFinished(() => look.page.emulateMedia({ colorScheme: null }));
  expect(await look.axeViolations()).toEqual([]);
  await look.page.emulateMedia({ colorScheme: 'dark' });
  expect(await look.axeViolations(['color-contrast'])).toEqual([]);
}

/** What can be clicked, or typed into, and is not in the window as a whole. */
function cutControls(page: Page): Promise<string[]> {
  return page.evaluate(`[...document.querySelectorAll('button, header a, input')]
    .filter((element) => {
      const { left, right, width } = element.getBoundingClientRect();
      return width > 0 && element.checkVisibility() && (left < 0 || right > innerWidth);
    })
    .map((element) => element.outerHTML)`);
}

async function expectFitsPhones({ page }: LogLook): Promise<void> {
  const before = page.viewportSize()!;
  onTestFinished(() => page.setViewportSize(before));
  for (const width of PHONE_WIDTHS) {
    await page.setViewportSize({ width, height: 640 });
    expect(await cutControls(page), `${width}`).toEqual([]);
  }
}

describe.runIf(ViewerBrowser.isThere)('each page', () => {
  it.each(KINDS)('%s: can be used by everybody, and on a telephone', async (_kind, urlPath, shown) => {
    const look = await browser.open(common.whole.url(urlPath));
    await shown(look.page);
    await expectNoViolations(look);
    expect(await look.jumps()).toEqual([]);
    await expectFitsPhones(look);
    await look.expectHarmless();
  });

  it.each(PANELS)('%s: can be used by everybody, and on a telephone', async (_panel, urlPath, open) => {
    const look = await browser.open(common.whole.url(urlPath));
    await open(look);
    await expectNoViolations(look);
    await expectFitsPhones(look);
    await look.expectHarmless();
  });

  it('keeps what it shows in its place, however it stands with it', async () => {
    const server = await ViewerServer.start();
    await writeFile(path.join(server.root, 'f.log'), '');
    const query = { session: sessionOf('a') };
    const appender = await V2Peer.append(server.url('/f.log'), query);
    await appender.append('first\n', 6);
    const look = await browser.open(server.url('/f.log'));
    await look.state('Live');
    await look.page.locator('.facts', { hasText: '1 watching' }).waitFor();
    appender.websocket.terminate();
    await look.state('Waiting');
    await server.stop();
    await look.state(/Reconnecting in/);
    await server.start();
    await look.page.locator('.state button').dispatchEvent('click');
    const back = await V2Peer.append(server.url('/f.log'), query);
    await look.state('Live');
    await back.append('second\n', 13);
    await look.page.locator('.facts', { hasText: '2 lines' }).waitFor();
    await back.finish();
    await look.state('Finished');
    expect(await look.jumps()).toEqual([]);
  });

  it('the prompt for a token can be used by everybody, and on a telephone', async () => {
    const server = await ViewerServer.start({ access: new RuleAccess({ token: { rules: {} } }) });
    await writeFile(path.join(server.root, 'f.log'), 'x');
    const look = await browser.open(server.url('/f.log'));
    await look.page.getByLabel('Token').waitFor();
    await expectNoViolations(look);
    await expectFitsPhones(look);
  });
});
