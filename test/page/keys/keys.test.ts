import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { LogLook } from '../../support/page/log-look.ts';
import { ViewerBrowser } from '../../support/page/viewer-browser.ts';
import { standaloneForAll } from '../../support/server/server-for-all.ts';
import { waitFor } from '../../support/wait-for.ts';

const LINES = Array.from({ length: 400 }, (_, index) => `${index}: a line ${'that is long '.repeat(20)}`);

const common = standaloneForAll();
const browser = ViewerBrowser.forAllTests();

/** Opens the page of so many lines, at its beginning. */
async function openLines(): Promise<LogLook> {
  const server = await common.guest();
  await writeFile(path.join(server.root, 'f.log'), `${LINES.join('\n')}\n`);
  const look = await browser.open(server.url('/f.log'));
  await look.row(LINES.at(-1)!);
  await look.press('Home');
  await look.row(LINES[0]!);
  return look;
}

/** The number of the first line of which anything is in view. */
const topLine = async (look: LogLook) => Number.parseInt((await look.rows())[0] ?? '', 10);

const isAt = (look: LogLook, line: number) =>
  waitFor(async () => (await topLine(look)) === line, `line ${line} at the top`);

const pressed = (look: LogLook, name: string) =>
  look.page.getByRole('button', { name }).getAttribute('aria-pressed');

describe.runIf(ViewerBrowser.isThere)('keys of the page of a text', () => {
  it('scroll it: by lines, by pages, to both ends, and sideways', async () => {
    const look = await openLines();
    for (const key of ['ArrowDown', 'j', 'j', 'k', 'ArrowUp', 'j', 'j']) await look.press(key);
    await isAt(look, 3);
    await look.press('PageDown');
    await waitFor(async () => (await topLine(look)) > 20, 'the next page');
    const next = await topLine(look);
    await look.press(' ');
    await waitFor(async () => (await topLine(look)) > next + 20, 'another page');
    await look.press('PageUp');
    await isAt(look, next);
    await look.press('Home');
    await isAt(look, 0);
    await look.press('G');
    await look.row(LINES.at(-1)!);
    const sideways = () => look.page.locator('.log').evaluate((log) => log.scrollLeft);
    await look.press('ArrowRight');
    await look.press('ArrowRight');
    const right = await sideways();
    await look.press('ArrowLeft');
    expect([right > 0, 2 * (await sideways())]).toEqual([true, right]);
  });

  it('wrap, and say which there are', async () => {
    const look = await openLines();
    const heightPx = () =>
      look.page
        .locator('.row .text')
        .first()
        .evaluate((row) => row.offsetHeight);
    await look.press('w');
    expect(await pressed(look, 'Wrap')).toBe('true');
    await waitFor(async () => (await heightPx()) > 20, 'a line that goes on below');
    await look.press('w');
    await waitFor(async () => (await heightPx()) === 20, 'one that does not');
    await look.press('?');
    const sheet = look.page.getByRole('dialog');
    await sheet.getByText('wrap long lines').waitFor();
    // What is open over the page has its own keys.
    await look.press('w');
    await look.press('Escape');
    await sheet.waitFor({ state: 'hidden' });
    expect(await pressed(look, 'Wrap')).toBe('false');
  });

  it('are those of a field while it has the focus, of a button that is pressed, and of the browser with Ctrl', async () => {
    const look = await openLines();
    await look.press('/');
    const field = look.page.getByLabel('Search in the whole file');
    await field.waitFor();
    for (const key of ['w', 'j', '?', ' ', 'G']) await look.press(key);
    expect(await field.inputValue()).toBe('wj? G');
    await look.press('Escape');
    await look.page.getByRole('button', { name: 'Wrap' }).focus();
    await look.press(' ');
    expect(await pressed(look, 'Wrap')).toBe('true');
    expect(await topLine(look)).toBe(0);
    const isLeft = await look.page.evaluate(`document.body.dispatchEvent(
      new KeyboardEvent('keydown', { key: 'w', ctrlKey: true, cancelable: true, bubbles: true }))`);
    expect([isLeft, await pressed(look, 'Wrap')]).toEqual([true, 'true']);
  });
});

describe.runIf(ViewerBrowser.isThere)('a text is scrolled', () => {
  it('by the wheel, which zooms with Ctrl', async () => {
    const look = await openLines();
    await look.page.mouse.move(300, 300);
    await look.page.mouse.wheel(0, 20 * 7);
    await isAt(look, 7);
    const isLeft = await look.page.evaluate(`document.querySelector('.log').dispatchEvent(
      new WheelEvent('wheel', { deltaY: 100, ctrlKey: true, cancelable: true }))`);
    expect(isLeft).toBe(true);
    await look.page.mouse.wheel(0, -20 * 2);
    await isAt(look, 5);
  });

  it('by a finger, and runs out behind it, unless motion is to be reduced', async () => {
    const look = await openLines();
    const devtools = await look.page.context().newCDPSession(look.page);
    onTestFinished(() => look.page.emulateMedia({ reducedMotion: 'reduce' }));
    const touch = (type: 'touchStart' | 'touchMove' | 'touchEnd', y?: number) =>
      devtools.send('Input.dispatchTouchEvent', {
        type,
        touchPoints: y === undefined ? [] : [{ x: 300, y }],
      });
    const swipe = async () => {
      await touch('touchStart', 500);
      await touch('touchMove', 400);
      await touch('touchMove', 300);
    };
    await swipe();
    await isAt(look, 10);
    await touch('touchEnd');
    await look.press('j');
    await isAt(look, 11);
    // With each frame it would run further.
    await look.page.evaluate(`(async () => {
      for (let frames = 0; frames < 10; frames++) await new Promise(requestAnimationFrame);
    })()`);
    expect(await topLine(look)).toBe(11);
    await look.page.emulateMedia({ reducedMotion: 'no-preference' });
    await swipe();
    await touch('touchEnd');
    await waitFor(async () => (await topLine(look)) > 22, 'what is behind it');
    await devtools.detach();
  });
});
