import { rm, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import { ViewerBrowser } from '../../support/page/viewer-browser.ts';
import { ViewerServer } from '../../support/page/viewer-server.ts';
import { RuleAccess } from '../../support/server/rule-access.ts';
import { standaloneForAll } from '../../support/server/server-for-all.ts';
import { waitFor } from '../../support/wait-for.ts';
import { sessionOf, V2Peer } from '../../support/websocket/v2-peer.ts';

const LINES = Array.from({ length: 4000 }, (_, index) => `${index + 1}: a line of a file`);
const TEXT = `${LINES.join('\n')}\n`;

/** What must not run, wherever it stands. */
const XSS = [
  '<script>window.ran = 1</script>',
  '"><img src=x onerror="window.ran = 1">',
  "'-window.ran=1-'",
  '</title><svg onload=window.ran=1>',
  '\x1b]8;;javascript:window.ran=1\x1b\\link\x1b]8;;\x1b\\',
  '\x1b]8;;https://example.test/"onmouseover="window.ran=1\x1b\\link\x1b]8;;\x1b\\',
  '\x1b]0;<script>window.ran=1</script>\x07title',
  '\u202egnp.exe\u202c',
];

const common = standaloneForAll();
const browser = ViewerBrowser.forAllTests();

describe.runIf(ViewerBrowser.isThere)('the page of a log', () => {
  it('shows the file from its end to its beginning', async () => {
    const server = await common.guest();
    await writeFile(path.join(server.root, 'f.log'), TEXT);
    const page = await browser.open(server.url('/f.log'));
    await page.state('Stored');
    expect(await page.rows()).toEqual(LINES.slice(-(await page.rows()).length));
    await page.press('Home');
    await page.row(LINES[0]!);
    expect(await page.rows()).toEqual(LINES.slice(0, (await page.rows()).length));
    await page.expectHarmless();
  });

  it('shows what comes, stays where somebody reads, and counts what that one does not see', async () => {
    const server = await common.guest();
    const appender = await V2Peer.append(server.url('/f.log'));
    await appender.append(TEXT, TEXT.length);
    const page = await browser.open(server.url('/f.log'));
    await page.state('Live');
    await page.row('4000: a line of a file');
    await page.press('PageUp');
    await page.noRow('4000: a line of a file');
    const before = await page.rows();
    await appender.send('and one\nand another\n');
    await page.pill('2 new lines');
    expect(await page.rows()).toEqual(before);
    await page.press('End');
    await page.row('and another');
    await appender.send('one more\n');
    await page.row('one more');
    await appender.finish();
    await page.state('Finished');
  });

  it('keeps a selection whose rows come and go, and copies the text of the file', async () => {
    const server = await common.guest();
    await writeFile(path.join(server.root, 'f.log'), TEXT);
    const page = await browser.open(server.url('/f.log'));
    await page.row('4000: a line of a file');
    await page.press('Home');
    await page.row(LINES[0]!);
    const { x, y } = (await page.page.locator('.row .text').nth(2).boundingBox())!;
    await page.page.mouse.move(x + 1, y + 10);
    await page.page.mouse.down();
    await page.page.mouse.move(x + 200, y + 30, { steps: 2 });
    await page.page.mouse.wheel(0, 20 * 300);
    await page.row(LINES[305]!);
    await page.page.mouse.move(x + 400, y + 11, { steps: 2 });
    await page.page.mouse.up();
    expect(await page.copied()).toBe(LINES.slice(2, 303).join('\n'));
  });

  it('copies all of the text when all is selected, though little of it is in the document', async () => {
    const server = await common.guest();
    const lines = Array.from({ length: 40_000 }, (_, index) => `${index}: a line`);
    await writeFile(path.join(server.root, 'f.log'), `${lines.join('\n')}\n`);
    const page = await browser.open(server.url('/f.log'));
    await page.row(lines.at(-1)!);
    await page.press('Control+a');
    // Its beginning was not read as yet.
    expect(await page.copied()).toBe('');
    await page.page.getByText('can be copied now').waitFor();
    expect(await page.copied()).toBe(lines.join('\n'));
  });

  it('numbers lines as sed does, and goes to those that its address links', async () => {
    const server = await common.guest();
    await writeFile(path.join(server.root, 'f.log'), `${'x'.repeat(300_000)}\n${TEXT}`);
    const page = await browser.open(server.url('/f.log#L2002-L2003'));
    await page.row(LINES[2000]!);
    const linked = page.page.locator('.row.linked');
    await linked.first().waitFor();
    expect(await linked.locator('.text').allTextContents()).toEqual(LINES.slice(2000, 2002));
    await page.press('End');
    await page.page.locator('.number[data-note="4001"]').click();
    await page.page.locator('.number[data-note="3999"]').click({ modifiers: ['Shift'] });
    expect(new URL(page.page.url()).hash).toBe('#L3999-L4001');
    await linked.nth(2).waitFor();
    expect(await linked.locator('.text').allTextContents()).toEqual(LINES.slice(3997, 4000));
    await page.page.locator('.facts', { hasText: '4,001 lines' }).waitFor();
  });

  it('shows any place of a line that is longer than what is read at once, wrapped, too', async () => {
    const server = await common.guest();
    const numbers = Array.from({ length: 200_000 }, (_, i) => String(i).padStart(7, '0')).join(' ');
    await writeFile(path.join(server.root, 'f.log'), `first\n${numbers}\nlast\n`);
    const page = await browser.open(server.url('/f.log'));
    await page.press('w');
    await page.row('last');
    const isShown = (text: RegExp) =>
      waitFor(async () => text.test((await page.rows()).join('')), String(text));
    await isShown(/0199999/);
    const { x, y, height } = (await page.page.locator('.scrollbar').boundingBox())!;
    await page.page.mouse.click(x + 5, y + height / 2);
    await isShown(/ (?:00999|01000)\d\d /);
    await page.press('Home');
    await page.row('first');
  });

  it('lays out what is in view of lines with thousands of colours, wherever that is, and copies all of them', async () => {
    const server = await common.guest();
    const words = Array.from({ length: 6000 }, (_, i) => String(i).padStart(4, '0'));
    const line = words.map((word, i) => `\x1b[3${1 + (i % 6)}m${word}`).join('');
    await writeFile(path.join(server.root, 'f.log'), `${`${line}\x1b[0m\n`.repeat(40)}last\n`);
    const page = await browser.open(server.url('/f.log'));
    await page.row('last');
    const spans = page.page.locator('.row .text span span');
    expect(await spans.count()).toBeLessThan(29 * 200);
    const log = page.page.locator('.log');
    await log.evaluate((element) => {
      element.scrollLeft = element.scrollWidth;
    });
    const isShown = (text: string) =>
      waitFor(async () => (await page.rows())[5]?.includes(text) === true, text);
    await isShown('59985999');
    expect((await page.rows())[5]).not.toContain('0100');
    expect(await spans.count()).toBeLessThan(29 * 200);
    await page.press('w');
    await page.press('Home');
    await waitFor(async () => (await page.rows())[0]?.startsWith('00000001') === true, 'the beginning');
    await page.page.evaluate(`getSelection().setBaseAndExtent(
      document.querySelector('.piece').firstChild.firstChild, 2, document.querySelectorAll('.piece')[9].firstChild.firstChild, 2)`);
    const columns = Number(await page.page.locator('.piece').nth(1).getAttribute('data-start'));
    const selected = words.join('').slice(2, 9 * columns + 2);
    expect(await page.copied()).toBe(selected);
    // Its ends are no longer in view.
    for (let pages = 0; pages < 3; pages++) await page.press('PageDown');
    await waitFor(async () => (await page.rows())[0]?.includes('3000') === true, 'the middle');
    expect(await page.copied()).toBe(selected);
  });

  it('shows where in a long line something was found, sideways and wrapped', async () => {
    const server = await common.guest();
    const found = `${'x'.repeat(30_000)}needle${'x'.repeat(30_000)}`;
    await writeFile(path.join(server.root, 'f.log'), `${TEXT}${found}\n${TEXT}`);
    const page = await browser.open(server.url('/f.log'));
    await page.row(LINES[3999]!);
    await page.press('/');
    await page.page.keyboard.type('needle');
    const isInView = async () => {
      const { x = -1, y = -1 } = ((await page.page.evaluate(`
        (() => {
          const [range] = CSS.highlights.get('current-match') ?? [];
          return range?.getBoundingClientRect().toJSON();
        })()`)) ?? {}) as { x?: number; y?: number };
      return x > 0 && x < 1000 && y > 0 && y < 600;
    };
    await waitFor(isInView, 'a match in view');
    await page.page.locator('.log').focus();
    await page.press('w');
    await page.press('n');
    await waitFor(isInView, 'a match in view, wrapped');
  });

  it('is painted once in a frame, however far it goes over wrapped lines', async () => {
    const server = await common.guest();
    const lines = Array.from({ length: 200 }, (_, index) => `${index}: ${'x'.repeat(10_000)}`);
    await writeFile(path.join(server.root, 'f.log'), `${lines.join('\n')}\n`);
    const page = await browser.open(server.url('/f.log'));
    await page.state('Stored');
    await page.press('w');
    await page.press('Home');
    await waitFor(async () => (await page.rows())[0]?.startsWith('0: ') === true, 'the first line');
    // Each time that it was painted the thumb is placed.
    await page.page.evaluate(`(() => {
      window.painted = [];
      const { get, set } = Object.getOwnPropertyDescriptor(HTMLElement.prototype, 'hidden');
      Object.defineProperty(document.querySelector('.thumb'), 'hidden', {
        get,
        set(value) {
          window.painted.push(document.timeline.currentTime);
          set.call(this, value);
        },
      });
    })()`);
    await page.page.mouse.move(300, 300);
    await page.page.mouse.wheel(0, 20_000);
    // Of a long line only what is in view is there.
    const number = () => page.page.locator('.row:not(.away) > .number').first().getAttribute('data-note');
    await waitFor(async () => Number(await number()) > 5, 'a line below');
    const painted = (await page.page.evaluate('window.painted')) as number[];
    expect(painted.length).toBeGreaterThan(0);
    expect(painted).toEqual([...new Set(painted)]);
  });

  it('keeps columns in line, whatever fonts their characters come from', async () => {
    const server = await common.guest();
    const cells = [
      'abcdefgh',
      '日本語12',
      '한국어ab',
      'ｱｲｳｴｵｶｷｸ',
      '😀👍🏽 ok ',
      '✓ ① ★ ⚡',
      '\x1b[31m日\x1b[0m本 \x1b[4m語\x1b[0mx',
    ];
    await writeFile(path.join(server.root, 'f.log'), cells.map((cell) => `${cell}│\n`).join(''));
    const page = await browser.open(server.url('/f.log'));
    await page.row('abcdefgh│');
    const ends = (await page.page.evaluate(`[...document.querySelectorAll('.row .text')].map((row) => {
      const range = new Range();
      range.selectNodeContents(row);
      return range.getBoundingClientRect().right;
    })`)) as number[];
    expect(ends).toHaveLength(cells.length);
    for (const [index, end] of ends.entries()) expect(Math.abs(end - ends[0]!), cells[index]).toBeLessThan(1);
    // Browsers find them, which they do not in boxes.
    expect(await page.page.evaluate("window.find('日本語')")).toBe(true);
  });

  it('prints what the page has from what is in view on, up to a bound, and says how much that is', async () => {
    const server = await common.guest();
    await writeFile(path.join(server.root, 'f.log'), TEXT);
    const page = await browser.open(server.url('/f.log'));
    await page.row(LINES[3999]!);
    await page.press('Home');
    await page.row(LINES[0]!);
    await page.page.emulateMedia({ media: 'print' });
    const printed = page.page.locator('.printed');
    const print = async () => {
      await page.page.evaluate("dispatchEvent(new Event('beforeprint'))");
      return printed.locator('.row .text').allTextContents();
    };
    expect(await print()).toEqual(LINES.slice(0, 2000));
    expect(await printed.locator('p').innerText()).toBe('Printed: 43.8 KiB of 88.8 KiB.');
    expect(await page.page.locator('.log').isVisible()).toBe(false);
    // All of it is laid out, and not a window's height.
    expect(await page.page.evaluate('document.documentElement.scrollHeight')).toBeGreaterThan(2000 * 10);
    await page.press('End');
    await page.page.evaluate("dispatchEvent(new Event('afterprint'))");
    expect(await printed.locator('.row').count()).toBe(0);
    await page.page.emulateMedia({ media: 'screen' });
    await page.row(LINES[3999]!);
    await page.page.emulateMedia({ media: 'print' });
    expect(await print()).toEqual(LINES.slice(-2000));
    await page.page.emulateMedia({ media: 'screen' });
  });

  it('prints of a large file what is here of it', async () => {
    const server = await common.guest();
    const lines = Array.from({ length: 40_000 }, (_, index) => `${index}: ${'x'.repeat(100)}`);
    await writeFile(path.join(server.root, 'f.log'), `${lines.join('\n')}\n`);
    const page = await browser.open(server.url('/f.log'));
    await page.row(lines.at(-1)!);
    await page.page.evaluate("dispatchEvent(new Event('beforeprint'))");
    const rows = await page.page.locator('.printed .row .text').allTextContents();
    expect(rows.length).toBeGreaterThan(500);
    expect(rows).toEqual(lines.slice(-rows.length));
  });

  it('folds groups that have ended, unless something in them has failed', async () => {
    const server = await common.guest();
    const group = (name: string, inside: string) => `::group::${name}\n${inside}\n::endgroup::\n`;
    const text = `${group('install', 'installed')}${group('test', '::error::no')}::group::deploy\nrunning\n`;
    await writeFile(path.join(server.root, 'f.log'), text);
    const page = await browser.open(server.url('/f.log'));
    await page.row('running');
    const open = ['::group::test', '::error::no', '::endgroup::', '::group::deploy', 'running'];
    expect(await page.rows()).toEqual(['::group::install', ...open]);
    await page.page.getByRole('button', { name: 'install' }).click();
    await page.row('installed');
    await page.press('f');
    await page.noRow('::error::no');
    expect(await page.rows()).toEqual(['::group::install', '::group::test', '::group::deploy', 'running']);
  });

  it('finds where a group begins that ends at the end of a large file', async () => {
    const server = await common.guest();
    await writeFile(
      path.join(server.root, 'f.log'),
      `top\n::group::Large\n${TEXT.repeat(8)}::endgroup::\nafter\n`,
    );
    const page = await browser.open(server.url('/f.log'));
    // It is folded as soon as that is known.
    await page.row('::group::Large');
    expect(await page.rows()).toEqual(['top', '::group::Large', 'after']);
  });

  it('says when lines came that came live, and how many watch', async () => {
    const server = await common.guest();
    const appender = await V2Peer.append(server.url('/f.log'));
    await appender.append('before\n', 7);
    const page = await browser.open(server.url('/f.log'));
    await page.page.locator('.facts', { hasText: '1 watching' }).waitFor();
    await appender.append('after\n', 13);
    await page.press('t');
    await page.page.locator('.row', { hasText: 'after' }).locator('.time[data-note]').waitFor();
    expect(await page.page.locator('.time[data-note]').count()).toBe(1);
  });

  it('tells when the appender is lost, is back, and gives up', async () => {
    const server = await common.guest();
    const query = { session: sessionOf('a') };
    const lost = await V2Peer.append(server.url('/f.log'), query);
    await lost.append('before\n', 7);
    const page = await browser.open(server.url('/f.log'));
    await page.state('Live');
    lost.websocket.terminate();
    await page.state('Waiting');
    const back = await V2Peer.append(server.url('/f.log'), query);
    await page.state('Live');
    await back.append('after\n', 13);
    back.websocket.close(1001);
    await page.state('Interrupted');
    expect(await page.rows()).toEqual(['before', 'after']);
  });

  it.each([
    ['Deleted', (file: string) => rm(file)],
    ['Truncated', (file: string) => truncate(file, 3)],
  ])('tells that a file was %s, and keeps what it has', async (word, change) => {
    const server = await common.guest();
    const appender = await V2Peer.append(server.url('/f.log'));
    await appender.append('one\ntwo\n', 8);
    const page = await browser.open(server.url('/f.log'));
    await page.row('two');
    await change(path.join(server.root, 'f.log'));
    await page.state(word);
    expect(await page.rows()).toEqual(['one', 'two']);
  });

  it('sees that what has ended goes on', async () => {
    const server = await common.guest();
    await writeFile(path.join(server.root, 'f.log'), 'one\n');
    const page = await browser.open(server.url('/f.log'));
    await page.state('Stored');
    const appender = await V2Peer.append(server.url('/f.log'));
    await appender.append('two\n', 8);
    // Somebody comes back to the page: it looks at once.
    await page.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))");
    await page.state('Live');
    await page.row('two');
    expect(await page.rows()).toEqual(['one', 'two']);
  });

  it.each([
    ['Deleted', (file: string) => rm(file)],
    ['Truncated', (file: string) => truncate(file, 4)],
  ])('sees that what has ended was %s', async (word, change) => {
    const server = await common.guest();
    await writeFile(path.join(server.root, 'f.log'), 'one\ntwo\n');
    const page = await browser.open(server.url('/f.log'));
    await page.state('Stored');
    await change(path.join(server.root, 'f.log'));
    await page.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))");
    await page.state(word);
    expect(await page.rows()).toEqual(['one', 'two']);
  });

  it('waits for what is not there yet', async () => {
    const server = await common.guest();
    const page = await browser.open(server.url('/later/f.log'));
    await page.state('Not there yet');
    const hint = page.page.getByText('The page waits for it');
    await hint.waitFor();
    const appender = await V2Peer.append(server.url('/later/f.log'));
    await appender.send('here\n');
    await page.row('here');
    await page.state('Live');
    expect(await hint.isVisible()).toBe(false);
  });

  it('comes back with the server, at once when told to, and shows nothing twice', async () => {
    const server = await ViewerServer.start();
    await writeFile(path.join(server.root, 'f.log'), '');
    const query = { session: sessionOf('b') };
    const appender = await V2Peer.append(server.url('/f.log'), query);
    await appender.append('one\n', 4);
    const page = await browser.open(server.url('/f.log'));
    await page.row('one');
    await server.stop();
    await page.state(/Reconnecting in \d+ s/);
    await waitFor(
      async () => !(await page.page.locator('.facts').innerText()).includes('watching'),
      'no followers',
    );
    await server.start();
    // It may have come back by itself by now.
    await page.page.locator('.state button').dispatchEvent('click');
    await page.state('Waiting');
    const back = await V2Peer.append(server.url('/f.log'), query);
    await back.append('two\n', 8);
    await page.row('two');
    await page.state('Live');
    expect(await page.rows()).toEqual(['one', 'two']);
  });

  it('asks for a token once rights exist, in its place, and keeps it for the tab', async () => {
    const access = new RuleAccess({ right: { rules: { '/**': ['follow'] } }, wrong: { rules: {} } });
    const server = await ViewerServer.start({ access });
    await writeFile(path.join(server.root, 'f.log'), 'the secret\n');
    const page = await browser.open(server.url('/f.log'));
    await page.state('Token needed');
    const token = page.page.getByLabel('Token');
    // The second one has characters that no token has.
    for (const other of ['wrong', 'wröng ☹']) {
      await token.fill(other);
      await token.press('Enter');
      await page.page.getByText('That token may not read this.').waitFor();
    }
    await token.fill('right');
    await token.press('Enter');
    await page.row('the secret');
    await page.page.reload();
    await page.row('the secret');
    const download = page.page.waitForEvent('download');
    await page.page.getByRole('link', { name: 'Download' }).click();
    expect(await text(await (await download).createReadStream())).toBe('the secret\n');
    await page.page.evaluate('sessionStorage.clear()');
  });

  it.each(['light', 'dark'] as const)('can be used by everybody, in %s', async (colorScheme) => {
    const server = await common.guest();
    const colours = Array.from(
      { length: 16 },
      (_, i) => `\x1b[38;5;${i}mcolour\x1b[0m \x1b[48;5;${i}mon it\x1b[0m`,
    );
    await writeFile(
      path.join(server.root, 'f.log'),
      `::group::a\n${colours.join('\n')}\n\x1b[2mdim\x1b[0m\n`,
    );
    const page = await browser.open(server.url('/f.log#L2'));
    await page.page.emulateMedia({ colorScheme });
    await page.page.locator('.row.linked').waitFor();
    expect(await page.axeViolations()).toEqual([]);
    await page.press('?');
    await page.page.getByRole('dialog').waitFor();
    expect(await page.axeViolations()).toEqual([]);
    await page.press('Escape');
    await page.page.getByRole('dialog').waitFor({ state: 'hidden' });
    expect(new URL(page.page.url()).hash).toBe('#L2');
  });

  it('runs nothing that stands in a text or a name', async () => {
    const server = await common.guest();
    const name = '<img src=x onerror=window.ran=1>"\'&\u202egnp.log';
    await writeFile(path.join(server.root, name), `${XSS.join('\n')}\n`);
    const page = await browser.open(
      server.url(`/${encodeURIComponent(name)}?q=${encodeURIComponent(XSS[1]!)}`),
    );
    await page.row(XSS[0]!);
    await page.row('U+202Egnp.exeU+202C');
    expect(await page.page.title()).toContain('&\\u202egnp.log');
    const links = page.page.locator('.text a');
    expect(await links.evaluateAll((all) => all.map((link) => link.getAttribute('href')))).toEqual([
      'https://example.test/"onmouseover="window.ran=1',
    ]);
    await page.expectHarmless();
  });
});
