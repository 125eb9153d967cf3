import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import Fastify from 'fastify';
import { describe, expect, it } from 'vitest';
import { httpfstream } from '../../src/server/plugin.ts';
import { ViewerBrowser } from '../support/page/viewer-browser.ts';
import { listen, temporaryDirectory } from '../support/server/server.ts';
import { waitFor } from '../support/wait-for.ts';

const LINES = Array.from({ length: 3000 }, (_, index) => `${index + 1}: a line of a file`);

const browser = ViewerBrowser.forAllTests();

/** An application that has the plugin below `/logs`, and something else elsewhere. */
async function startApplication(): Promise<(urlPath: string) => string> {
  const root = await temporaryDirectory();
  await mkdir(path.join(root, 'd'));
  await writeFile(path.join(root, 'd', 'f.log'), `${LINES.join('\n')}\n`);
  const app = Fastify();
  await app.register(httpfstream, { root, prefix: '/logs', closeTimeoutMs: 200 });
  app.get('/*', async () => "the application's own");
  const { port } = await listen(app);
  return (urlPath) => `http://127.0.0.1:${port}${urlPath}`;
}

describe.runIf(ViewerBrowser.isThere)('below a prefix of an application', () => {
  it('pages lead to each other, search and link lines, and ask nothing of what is beside it', async () => {
    const url = await startApplication();
    const look = await browser.open('about:blank');
    const { page } = look;
    const asked: string[] = [];
    page.on('request', (request) => asked.push(new URL(request.url()).pathname));
    await page.goto(url('/logs/'));
    await look.state('Live');
    await page.getByRole('link', { name: 'd/' }).click();
    await page.getByRole('link', { name: 'f.log' }).click();
    await page.waitForURL(url('/logs/d/f.log'));
    await look.row(LINES.at(-1) as string);
    await look.press('/');
    await page.keyboard.type('1234: a');
    await look.press('Enter');
    await look.row(LINES[1233] as string);
    await look.press('Escape');
    await page.locator('.number[data-note="1234"]').click();
    const { hash } = new URL(page.url());
    expect(hash).toBe('#L1234');
    await page.goto('about:blank');
    await page.goto(url(`/logs/d/f.log${hash}`));
    await waitFor(
      async () => (await page.locator('.row.linked .text').allTextContents()).join() === LINES[1233],
      'the line that is linked',
    );
    await page.getByRole('link', { name: 'd', exact: true }).click();
    await page.waitForURL(url('/logs/d/'));
    await look.state('Live');
    expect(asked.filter((pathname) => !pathname.startsWith('/logs/') && pathname !== 'blank')).toEqual([]);
    look.expectQuiet();
    await look.expectHarmless();
  });
});
