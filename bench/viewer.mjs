// Measures the pages of the viewer in a real Chromium, and what they ask of the server: one line for each figure, with what is
// wanted. Needs the build, a Chromium, and room for `--gib` GiB (default 5) in the system's temporary directory.
//
//   npm run bench:viewer                     all of it, some minutes
//   node bench/viewer.mjs --gib 1 --seconds 5

import { createWriteStream, mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';
import { openAppend } from '../dist/lib/client.js';
import { freePort, startProcess, stopProcess, waitForPort } from './processes.mjs';

const SERVER = fileURLToPath(new URL('../dist/bin/httpfstream-server.js', import.meta.url));
const RUNS = 5;
const PLAIN = 'ok';
const COLOURED = '\x1b[32mok\x1b[0m';
const TABS = 20;
const ROWS = '.row:not(.away) > .text';

const { values } = parseArgs({
  options: { gib: { type: 'string', default: '5' }, seconds: { type: 'string', default: '60' } },
});
const gib = Number(values.gib);
const seconds = Number(values.seconds);

/** In the page: when something was painted, how long frames and tasks took. */
const PROBE = `
  window.rowsText = () => [...document.querySelectorAll('${ROWS}')].map((row) => row.textContent);
  window.painted = (matches) => new Promise((resolve) => {
    const look = () => (matches(window.rowsText()) ? resolve(performance.now()) : requestAnimationFrame(look));
    look();
  });
  window.watch = () => {
    const seen = { frames: [], tasks: [], last: performance.now(), isOver: false };
    new PerformanceObserver((list) => seen.tasks.push(...list.getEntries().map(({ duration }) => duration)))
      .observe({ type: 'longtask' });
    const frame = (now) => {
      seen.frames.push(now - seen.last);
      seen.last = now;
      if (!seen.isOver) requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
    window.seen = seen;
  };
`;

const directory = mkdtempSync(path.join(os.tmpdir(), 'httpfstream-viewer-'));
const port = await freePort();
let server;
const url = (name) => `http://127.0.0.1:${port}/${name}`;
let browser;
try {
  await startServer();
  await makeFile('large.log', gib);
  await makeFile('search.log', Math.min(1, gib), PLAIN);
  await makeFile('coloured.log', Math.min(1, gib));
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--no-first-run'],
  });
  await measureIndex();
  await measureSearch();
  await measureLooks();
  await measureAppendToPaint();
  await measureFlood();
  await measureTabs();
} finally {
  await browser?.close();
  if (server !== undefined) await stopProcess(server);
  rmSync(directory, { recursive: true, force: true });
}

async function startServer() {
  const options = ['-root', directory, '-http', `127.0.0.1:${port}`, '-log-level', 'warn'];
  server = startProcess(process.execPath, [SERVER, ...options]);
  await waitForPort(port, server);
}

/** Lines of a usual length, all different, of which one is known. */
async function makeFile(name, size, ok = COLOURED) {
  const file = createWriteStream(path.join(directory, name));
  let line = 0;
  for (let mebibytes = 0; mebibytes < size * 1024; mebibytes++) {
    let text = '';
    while (text.length < 1024 * 1024) {
      const count = line++;
      text += `2026-01-01T00:00:00.000Z worker-${count % 64} step ${count} took ${count % 977} ms, ${ok}, and all is well\n`;
    }
    if (!file.write(text)) await new Promise((resolve) => file.once('drain', resolve));
  }
  await new Promise((resolve) => file.end('the very last line\n', resolve));
}

async function measureIndex() {
  const times = [];
  const meanwhile = [];
  for (let run = 0; run < RUNS; run++) {
    // What was counted once is known to this server.
    await stopProcess(server);
    await startServer();
    const live = await echo(`echo-${run}.log`);
    const quiet = live.measure();
    const startedMs = performance.now();
    for (let block = 0, isOver = false; !isOver; ) {
      const { headers, body } = await fetch(`${url('large.log')}?view=index&block=${block}`);
      for await (const part of body) block += part.length / 4;
      isOver = headers.get('index-position') === headers.get('index-size');
    }
    times.push(performance.now() - startedMs);
    meanwhile.push(...(await quiet()));
    await live.close();
  }
  say(`newlines of ${gib} GiB`, times, 'ms', `<= ${300 * gib} (in the cache)`);
  say('  latency of another resource meanwhile, p99', [quantile(meanwhile, 0.99)], 'ms', '< 20');
}

async function measureSearch() {
  for (const [name, wanted] of [
    ['search.log', '<= 1200'],
    ['coloured.log', 'nothing: colours may be within words'],
  ]) {
    const times = [];
    for (let run = 0; run < RUNS; run++) {
      const startedMs = performance.now();
      const text = await (await fetch(`${url(name)}?view=search&q=very%20last`)).text();
      times.push(performance.now() - startedMs);
      if (!text.includes('"end":"complete"') || !text.includes('"at":')) throw new Error(text);
    }
    say(`search of 1 GiB for a literal, ${name}`, times, 'ms', wanted);
  }
}

async function measureLooks() {
  const first = [];
  const jumps = [];
  const frames = [];
  let heap = 0;
  for (let run = 0; run < RUNS; run++) {
    const page = await newPage();
    await page.goto(url('large.log'));
    first.push(await page.evaluate(`painted((rows) => rows.includes('the very last line'))`));
    const { x, y, height } = await page.locator('.scrollbar').boundingBox();
    for (const part of [0.25, 0.5, 0.75, 0.1]) {
      await page.evaluate(`window.before = rowsText().join(); document.querySelector('.scrollbar').addEventListener(
        'pointerdown', () => { window.askedAt = performance.now(); }, { capture: true, once: true })`);
      await page.mouse.click(x + 3, y + height * part);
      jumps.push(
        await page.evaluate(
          `painted((rows) => rows.length > 9 && rows.join() !== before).then((at) => at - askedAt)`,
        ),
      );
    }
    await page.mouse.move(x - 300, y + height / 2);
    await page.evaluate('watch()');
    for (let step = 0; step < 100; step++) await page.mouse.wheel(0, -120);
    const seen = await page.evaluate('seen.isOver = true, seen');
    frames.push(...seen.frames.slice(1));
    const session = await page.context().newCDPSession(page);
    await session.send('Performance.enable');
    const { metrics } = await session.send('Performance.getMetrics');
    heap = Math.max(heap, metrics.find(({ name }) => name === 'JSHeapUsedSize').value);
    await page.close();
  }
  say(`first screen of ${gib} GiB, from the navigation`, first, 'ms', '<= 400');
  say('a place by the scrollbar, painted', jumps, 'ms', '<= 150');
  say('  the slowest', [Math.max(...jumps)], 'ms', '<= 150');
  say('wheel, frame p99', [quantile(frames, 0.99)], 'ms', '<= 34');
  say('heap of the page', [heap / 1e6], 'MB', '<= 60');
}

async function measureAppendToPaint() {
  const page = await newPage();
  const appender = openAppend(url('paint.log'));
  appender.write('begun\n');
  await page.goto(url('paint.log'));
  await page.evaluate(`painted((rows) => rows.includes('begun'))`);
  const times = [];
  for (let count = 0; count < 100; count++) {
    const text = `line ${count}`;
    const painted = page.evaluate(
      `painted((rows) => rows.includes('${text}')).then((at) => performance.timeOrigin + at)`,
    );
    await new Promise((resolve) => setTimeout(resolve, 50));
    const sentMs = performance.timeOrigin + performance.now();
    appender.write(`${text}\n`);
    times.push((await painted) - sentMs);
  }
  appender.end();
  await page.close();
  say('append to paint, p50', [quantile(times, 0.5)], 'ms', '< 50');
}

async function measureFlood() {
  const page = await newPage();
  const appender = openAppend(url('flood.log'));
  appender.write('begun\n');
  await page.goto(url('flood.log'));
  await page.evaluate(`painted((rows) => rows.includes('begun'))`);
  await page.evaluate('watch()');
  let count = 0;
  for (const endMs = performance.now() + seconds * 1000; performance.now() < endMs; ) {
    const fromMs = performance.now();
    let text = '';
    for (const end = count + 2500; count < end; count++)
      text += `${count} a line of a flood, \x1b[33mas programs\x1b[0m write them\n`;
    if (!appender.write(text)) await new Promise((resolve) => appender.once('drain', resolve));
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, 50 - (performance.now() - fromMs))));
  }
  appender.end('the last line\n');
  await page.evaluate(
    `painted((rows) => rows.at(-1) === 'the last line' || rows.at(-2) === 'the last line')`,
  );
  const { frames, tasks } = await page.evaluate('seen.isOver = true, seen');
  const tookMs = frames.reduce((sum, frame) => sum + frame, 0);
  const session = await page.context().newCDPSession(page);
  await session.send('Performance.enable');
  const { metrics } = await session.send('Performance.getMetrics');
  say(`lines a second for ${seconds} s`, [(count / tookMs) * 1000], '1/s', '50000');
  say('  frames a second', [(frames.length / tookMs) * 1000], '1/s', '>= 30');
  say('  longest task', [Math.max(0, ...tasks)], 'ms', '<= 200');
  say('  heap', [metrics.find(({ name }) => name === 'JSHeapUsedSize').value / 1e6], 'MB', 'bounded');
  await page.close();
}

async function measureTabs() {
  const appender = openAppend(url('tabs.log'));
  appender.write('begun\n');
  const context = await browser.newContext();
  const startedMs = performance.now();
  const pages = await Promise.all(
    Array.from({ length: TABS }, async () => {
      const page = await context.newPage();
      await page.addInitScript(PROBE);
      await page.goto(url('tabs.log'));
      return page;
    }),
  );
  appender.write('for all\n');
  for (const page of pages) {
    await page.bringToFront();
    await page.evaluate(`painted((rows) => rows.includes('for all'))`);
  }
  say(`${TABS} tabs, all live`, [performance.now() - startedMs], 'ms', 'all');
  appender.end();
  await context.close();
}

/** Bytes that go round by way of the server, one after the other, while something else goes on. */
async function echo(name) {
  const appender = openAppend(url(name));
  appender.write('.');
  const socket = new (await import('ws')).WebSocket(`ws://127.0.0.1:${port}/${name}`, 'httpfstream.v2', {
    headers: { 'X-Verb': 'FOLLOW' },
  });
  let come = () => {};
  socket.on('message', (_data, isBinary) => isBinary && come());
  await new Promise((resolve) => {
    come = resolve;
  });
  return {
    /** @returns to be called when it is over, for the milliseconds that each took */
    measure() {
      const times = [];
      let isOver = false;
      const running = (async () => {
        while (!isOver) {
          const sentMs = performance.now();
          const came = new Promise((resolve) => {
            come = resolve;
          });
          appender.write('.');
          await came;
          times.push(performance.now() - sentMs);
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
      })();
      return async () => {
        isOver = true;
        await running;
        return times;
      };
    },
    async close() {
      socket.terminate();
      const closed = new Promise((resolve) => appender.once('close', resolve));
      appender.end();
      await closed;
    },
  };
}

async function newPage() {
  const page = await browser.newPage({ viewport: { width: 1200, height: 800 } });
  await page.addInitScript(PROBE);
  return page;
}

function quantile(values, part) {
  return values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * part))];
}

function say(what, values, unit, wanted) {
  const text = `${quantile(values, 0.5).toFixed(1)} ${unit}`;
  const all = values.length > 1 ? `  (${values.map((value) => value.toFixed(0)).join(', ')})` : '';
  process.stdout.write(`${what.padEnd(52)} ${text.padStart(14)}   wanted ${wanted}${all}\n`);
}
