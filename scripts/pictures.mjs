// Makes the pictures of docs/viewer.md: a server with a build that is being written, looked at in Chromium
// (CHROMIUM says where that is). What they show is the same each time, but for times and the browser's fonts.

import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { openAppend } from '../build/src/client/index.js';
import { createStandaloneServer } from '../build/src/server/standalone.js';
import { palettePng } from './palette-png.mjs';

/** As large as a picture may be, in bytes: the repository keeps each one for ever. */
const MAX_BYTES = 60_000;

const PICTURES = fileURLToPath(new URL('../docs/pictures/', import.meta.url));
const DESKTOP = { width: 960, height: 500 };
const PHONE = { width: 390, height: 640 };
const MINUTE_MS = 60_000;

const root = mkdtempSync(path.join(tmpdir(), 'httpfstream-pictures-'));
const app = await createStandaloneServer({ root });
await app.listen({ host: '127.0.0.1', port: 0 });
const url = (name) => `http://127.0.0.1:${app.server.address().port}/${name}`;
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu'],
});
try {
  mkdirSync(PICTURES, { recursive: true });
  await makeFiles();
  const live = openAppend(url('builds/42.log'));
  live.write(buildLog());
  await takeAll();
  live.end();
} finally {
  await browser.close();
  await app.close();
  rmSync(root, { recursive: true });
}

async function takeAll() {
  const log = (page) => page.getByText('linking').first().waitFor();
  await take('log-light', 'builds/42.log', { ready: log });
  await take('log-dark', 'builds/42.log', { ready: log, colorScheme: 'dark' });
  await take('log-phone', 'builds/42.log', { ready: log, viewport: PHONE });
  await take('directory', 'builds/', { ready: (page) => page.getByText('42.log').waitFor() });
  await take('records', 'requests.ndjson', {
    colorScheme: 'dark',
    ready: async (page) => {
      await page.getByText('/api/orders').first().waitFor();
      await page.keyboard.press('Enter');
      // Its script is loaded with the first one.
      await page.locator('.record-panel').waitFor();
    },
  });
  await take('search', 'builds/42.log', {
    ready: async (page) => {
      await log(page);
      await page.keyboard.press('/');
      await page.locator('.search input').first().fill('journal');
      await page.getByText(/^\d+ of \d+$/).waitFor();
    },
  });
  await take('bytes', 'program.bin', { ready: (page) => page.getByText('00000000').waitFor() });
}

/** Takes a picture of a page. @param ready resolves when it shows what it is to show */
async function take(name, path_, { ready, viewport = DESKTOP, colorScheme = 'light' }) {
  const page = await browser.newPage({ viewport, colorScheme, reducedMotion: 'reduce' });
  await page.goto(url(path_));
  await ready(page);
  await page.evaluate(
    () => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))),
  );
  const shot = await page.screenshot();
  await page.close();
  const file = path.join(PICTURES, `${name}.png`);
  const picture = palettePng(await pixelsOf(shot));
  writeFileSync(file, picture);
  process.stdout.write(`${file}: ${picture.length} bytes\n`);
  if (picture.length > MAX_BYTES) throw new Error(`${name} has more than ${MAX_BYTES} bytes`);
}

/** What is in a picture, as the browser decodes it. */
async function pixelsOf(png) {
  const page = await browser.newPage();
  const { width, height, base64 } = await page.evaluate(
    async (source) => {
      const bitmap = await createImageBitmap(await (await fetch(source)).blob());
      const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
      const context = canvas.getContext('2d');
      context.drawImage(bitmap, 0, 0);
      const { data } = context.getImageData(0, 0, bitmap.width, bitmap.height);
      let text = '';
      for (const byte of data) text += String.fromCharCode(byte);
      return { width: bitmap.width, height: bitmap.height, base64: btoa(text) };
    },
    `data:image/png;base64,${png.toString('base64')}`,
  );
  await page.close();
  return { width, height, pixels: Buffer.from(base64, 'base64') };
}

async function makeFiles() {
  const ago = (name, minutes, bytes) => {
    const file = path.join(root, name);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, bytes);
    const at = new Date(Date.now() - minutes * MINUTE_MS);
    utimesSync(file, at, at);
  };
  for (const [number, minutes, status] of [
    [36, 4000, 0],
    [37, 2900, 0],
    [38, 1500, 2],
    [39, 300, 0],
    [40, 65, 1],
    [41, 12, 0],
  ]) {
    const name = `builds/${number}.log`;
    await append(name, buildLog().repeat(number), { status: () => status });
    const at = new Date(Date.now() - minutes * MINUTE_MS);
    utimesSync(path.join(root, name), at, at);
  }
  ago('builds/artifacts/app.tar.gz', 14, Buffer.alloc(3_400_000));
  ago('builds/coverage.html', 13, Buffer.alloc(48_211, ' '));
  ago('builds/screenshot.png', 13, Buffer.alloc(211_402));
  ago('requests.ndjson', 1, requests());
  ago('program.bin', 1, Buffer.from(Array.from({ length: 4096 }, (_, index) => (index * index * 31) % 256)));
}

async function append(name, text, options) {
  const stream = openAppend(url(name), options);
  await new Promise((resolve, reject) => stream.once('close', resolve).once('error', reject).end(text));
}

function buildLog() {
  const [red, green, yellow, blue, dim, bold, off] = [31, 32, 33, 34, 2, 1, 0].map((code) => `\x1b[${code}m`);
  const compiled = ['arena', 'buffer', 'codec', 'digest', 'engine', 'frame', 'gauge', 'handle'].map(
    (name, index) => `${dim}[${index + 1}/12]${off} ${green}CC${off} src/${name}.c`,
  );
  return [
    `${bold}$ make -j4 all${off}`,
    ...compiled,
    `${bold}src/index.c:118:21:${off} ${yellow}warning:${off} unused variable ${bold}‘count’${off} [${yellow}-Wunused-variable${off}]`,
    '  118 |         size_t count = 0;',
    `      |                ${yellow}^~~~~${off}`,
    `${dim}[9/12]${off} ${green}CC${off} src/journal.c`,
    `${bold}src/journal.c:64:5:${off} ${red}error:${off} implicit declaration of ${bold}‘fdatasync’${off}`,
    '   64 |     fdatasync(fd);',
    `      |     ${red}^~~~~~~~~${off}`,
    `${dim}[10/12]${off} ${green}CC${off} src/journal.c ${dim}(again, with -D_DEFAULT_SOURCE)${off}`,
    'fetching test data   3%\rfetching test data  57%\rfetching test data 100% 18.2 MB/s',
    `${dim}[11/12]${off} ${blue}LD${off} linking build/app`,
    `${dim}[12/12]${off} running tests  ${green}▇▇▇▇▇▇▇▇▇▇▇▇▇▇${off}${dim}▇▇▇▇▇▇${off}  214/306`,
    '',
  ].join('\n');
}

function requests() {
  const paths = ['/api/orders', '/api/users/7', '/healthz', '/api/orders/42/items'];
  const record = (index) => ({
    time: new Date(Date.UTC(2026, 10, 20, 10, 0, 0, index * 733)).toISOString(),
    level: index % 11 === 3 ? 'error' : 'info',
    method: index % 5 === 0 ? 'POST' : 'GET',
    path: paths[index % paths.length],
    ms: (index * 37) % 97,
    ...(index % 11 === 3 && { error: { code: 'ECONNRESET', retries: 2 } }),
  });
  return Array.from({ length: 200 }, (_, index) => `${JSON.stringify(record(index))}\n`).join('');
}
