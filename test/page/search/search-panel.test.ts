import { appendFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import type { LogLook } from '../../support/page/log-look.ts';
import { ViewerBrowser } from '../../support/page/viewer-browser.ts';
import { ViewerServer } from '../../support/page/viewer-server.ts';
import { standaloneForAll } from '../../support/server/server-for-all.ts';
import { waitFor } from '../../support/wait-for.ts';
import { V2Peer } from '../../support/websocket/v2-peer.ts';

/** More than the end with which the page begins: most of it is on the server only. */
const LINES = Array.from({ length: 20_000 }, (_, index) =>
  index % 5000 === 123 ? `${index + 1}: a \x1b[31mnee\x1b[mdle` : `${index + 1}: hay, and more hay`,
);

const common = standaloneForAll();
const browser = ViewerBrowser.forAllTests();

/** What the browser marks in the rows: the texts of other matches, and of the current one. */
async function marked({ page }: LogLook): Promise<{ match: string[]; current: string[] }> {
  return page.evaluate(`(() => {
    const texts = (name) => [...(CSS.highlights.get(name) ?? [])].map((range) => range.toString());
    return { match: texts('match'), current: texts('current-match') };
  })()`);
}

async function says({ page }: LogLook, text: string): Promise<void> {
  await waitFor(async () => (await page.locator('.search output').textContent()) === text, `"${text}"`);
}

/**
 * Presses keys, of which the first opens the search, while its script does not come, if it is asked for: a browser may have it in
 * its memory.
 *
 * @returns what lets that come
 */
async function typeAhead(look: LogLook, keys: readonly string[]): Promise<() => Promise<void>> {
  let letGo = () => {};
  const isHeld = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  const held: Promise<void>[] = [];
  await look.page.route(/search-panel/, (route) => void held.push(isHeld.then(() => route.continue())));
  for (const key of keys) await look.press(key);
  return async () => {
    letGo();
    await Promise.all(held);
    await look.page.unroute(/search-panel/);
  };
}

const shownRow = (look: LogLook) => look.page.locator('.log .row.found > .text').textContent();

/** The number beside the row of the current match, as it is drawn. */
const shownNumber = (look: LogLook) =>
  look.page.locator('.log .row.found > .number').getAttribute('data-note');

describe.runIf(ViewerBrowser.isThere)('the search of a log', () => {
  it('finds in the whole file, and leads from match to match, each marked, with the number of its line', async () => {
    const server = await common.guest();
    await writeFile(path.join(server.root, 'f.log'), `${LINES.join('\n')}\n`);
    const look = await browser.open(server.url('/f.log'));
    await look.row('20000: hay, and more hay');
    await look.press('/');
    await look.page.getByLabel('Search in the whole file').fill('needle');
    await says(look, '4 of 4');
    await look.row('15124: a needle');
    await waitFor(async () => (await marked(look)).current[0] === 'needle', 'the mark of the match');
    await waitFor(async () => (await shownNumber(look)) === '15124', 'the number of the line');
    await look.press('Enter');
    await says(look, '1 of 4');
    await look.row('124: a needle');
    await look.press('Escape');
    await look.page.locator('.search').waitFor({ state: 'hidden' });
    expect((await marked(look)).current).toEqual([]);
    await look.expectHarmless();
  });

  it('goes with n and N, takes regular expressions, and says what is wrong with one', async () => {
    const server = await common.guest();
    await writeFile(path.join(server.root, 'f.log'), `${LINES.join('\n')}\n`);
    const look = await browser.open(server.url('/f.log'));
    await look.row('20000: hay, and more hay');
    await look.press('/');
    await look.page.getByRole('button', { name: '.*', exact: true }).click();
    const field = look.page.getByLabel('Search in the whole file');
    await field.fill('^5124: .*(');
    await waitFor(
      async () => (await look.page.locator('.search output').textContent())!.includes('Unterminated'),
      'why',
    );
    await field.fill('^(5|10)124: .*dle$');
    await says(look, '2 of 2');
    await look.page.locator('.log').focus();
    await look.press('N');
    await says(look, '1 of 2');
    await waitFor(async () => (await shownRow(look)) === '5124: a needle', 'the match before');
    await look.press('n');
    await waitFor(async () => (await shownRow(look)) === '10124: a needle', 'the next match');
  });

  it('shows only the lines that match, those that come too, and leads to where they are', async () => {
    const server = await common.guest();
    const appender = await V2Peer.append(server.url('/f.log'));
    const text = `${LINES.join('\n')}\n`;
    await appender.append(text, text.length);
    const look = await browser.open(server.url('/f.log'));
    await look.row('20000: hay, and more hay');
    await look.press('/');
    await look.page.getByRole('button', { name: 'Only lines that match' }).click();
    await look.page.getByLabel('Search in the whole file').fill('needle');
    const filtered = look.page.locator('.filtered .row > .text');
    const lines = () => filtered.allTextContents();
    await waitFor(async () => (await lines()).length === 4, 'the lines that match');
    expect(await lines()).toEqual([124, 5124, 10124, 15124].map((number) => `${number}: a needle`));
    await appender.send('20001: another needle\n');
    await waitFor(async () => (await lines()).at(-1) === '20001: another needle', 'a line that has come');
    // It stays in the place of the log, whatever is told of that.
    await V2Peer.follow(server.url('/f.log'));
    await look.page.locator('.facts', { hasText: '2 watching' }).waitFor();
    expect(await look.page.locator('.view').isVisible()).toBe(false);
    // What is copied of all is what is shown, and not the log.
    await look.page.locator('.filtered').focus();
    await look.press('Control+a');
    expect(await look.copied()).toBe('');
    expect(await look.page.evaluate('getSelection().toString()')).toContain('5124: a needle');
    await look.page.evaluate('getSelection().empty()');
    await filtered.nth(1).click();
    await look.row('5124: a needle');
    expect(await shownRow(look)).toBe('5124: a needle');
    await look.expectHarmless();
  });

  it('takes what is typed before it is there', async () => {
    const server = await ViewerServer.start();
    await writeFile(path.join(server.root, 'f.log'), `${LINES.join('\n')}\n`);
    const look = await browser.open(server.url('/f.log'));
    await look.row('20000: hay, and more hay');
    const letGo = await typeAhead(look, ['/', 'n', 'e', 'x', 'Backspace', 'e', 'd', 'l', 'e']);
    await letGo();
    await says(look, '4 of 4');
    expect(await look.page.getByLabel('Search in the whole file').inputValue()).toBe('needle');
  });

  it('goes to a line whose number was typed, and entered, before it is there', async () => {
    const server = await ViewerServer.start();
    await writeFile(path.join(server.root, 'f.log'), `${LINES.join('\n')}\n`);
    const look = await browser.open(server.url('/f.log'));
    await look.row('20000: hay, and more hay');
    const letGo = await typeAhead(look, ['g', '1', '2', '3', '4', '5', 'Enter']);
    await letGo();
    await look.row('12345: hay, and more hay');
    // Keys are the log's again.
    await look.press('End');
    await look.row('20000: hay, and more hay');
  });

  it('goes to a line by its number', async () => {
    const server = await common.guest();
    await writeFile(path.join(server.root, 'f.log'), `${LINES.join('\n')}\n`);
    await appendFile(path.join(server.root, 'f.log'), 'the last one');
    const look = await browser.open(server.url('/f.log'));
    await look.row('the last one');
    await look.press('g');
    await look.page.getByLabel('Go to line').fill('12,345');
    await look.press('Enter');
    await look.row('12345: hay, and more hay');
    // Keys are the log's again.
    await look.press('End');
    await look.row('the last one');
  });
});
