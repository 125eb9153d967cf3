import { mkdir, rename, rm, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, it } from 'vitest';
import type { LogLook } from '../../support/page/log-look.ts';
import { ViewerBrowser } from '../../support/page/viewer-browser.ts';
import { standaloneForAll } from '../../support/server/server-for-all.ts';

/** More than the end with which the page begins. */
const LINES = Array.from({ length: 20_000 }, (_, index) => `${index + 1}: hay, and more hay`);
const TEXT = `${LINES.join('\n')}\n`;

/** Without what looks from time to time by itself, be that within the patience of a test or not. */
const NO_LOOKS = `{
  const { setTimeout } = window;
  window.setTimeout = (run, delayMs, ...rest) => (delayMs === 10_000 ? 0 : setTimeout(run, delayMs, ...rest));
}`;

const CHANGES: [string, string, (file: string) => Promise<void>][] = [
  ['deleted', 'Deleted', (file) => rm(file)],
  ['cut', 'Truncated', (file) => truncate(file, 20)],
  ['replaced', 'Deleted', replace],
  ['replaced by a directory', 'Deleted', replaceByDirectory],
];

const common = standaloneForAll();
const browser = ViewerBrowser.forAllTests();

async function replace(file: string): Promise<void> {
  await writeFile(`${file}.new`, TEXT.toUpperCase());
  await rename(`${file}.new`, file);
}

async function replaceByDirectory(file: string): Promise<void> {
  await rm(file);
  await mkdir(file);
}

async function openStored(): Promise<{ look: LogLook; file: string }> {
  const server = await common.guest();
  const file = path.join(server.root, 'f.log');
  await writeFile(file, TEXT);
  const look = await browser.open('about:blank');
  await look.page.addInitScript(NO_LOOKS);
  await look.page.goto(server.url('/f.log'));
  await look.state('Stored');
  await look.row(LINES.at(-1)!);
  return { look, file };
}

describe.runIf(ViewerBrowser.isThere)('a file to which nobody appends', () => {
  it.each(CHANGES)('that was %s is said to be, as soon as more of it is read', async (_, word, change) => {
    const { look, file } = await openStored();
    await change(file);
    await look.press('Home');
    await look.state(word);
    await look.press('End');
    await look.row(LINES.at(-1)!);
  });

  it.each(CHANGES)('that was %s is said to be, as soon as it is searched', async (_, word, change) => {
    const { look, file } = await openStored();
    await change(file);
    await look.press('/');
    await look.page.keyboard.type('needle');
    await look.state(word);
    // The search ends: what is cut could be searched again and again.
    if (word === 'Truncated')
      await look.page.locator('.search output', { hasText: 'the file was cut' }).waitFor();
    await look.row(LINES.at(-1)!);
  });
});
