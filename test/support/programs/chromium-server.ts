import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { type BrowserServer, chromium } from 'playwright-core';
import { PATIENCE_MS } from '../patience.ts';
import { CHROMIUM, CHROMIUM_SERVER } from './chromium.ts';

/** Flags for a browser that talks to nobody but the tests; `evil.example` is this machine. */
const ARGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--host-resolver-rules=MAP evil.example 127.0.0.1',
];

/** One browser for all test files, started when the first of them asks where it is. Ends it when all are over. */
export async function setup(): Promise<() => Promise<void>> {
  if (CHROMIUM === undefined && process.env.CI !== undefined) {
    throw new Error(
      'no Chromium, at /usr/bin/chromium-headless-shell, /usr/bin/chromium or where CHROMIUM says: the pages would not be tested',
    );
  }
  let browser: Promise<BrowserServer> | undefined;
  const server = http.createServer((_request, response) => {
    browser ??= launch();
    browser.then(
      (running) => response.end(running.wsEndpoint()),
      (error) => response.writeHead(500).end(String(error)),
    );
  });
  server.listen(0, '127.0.0.1').unref();
  await once(server, 'listening');
  process.env[CHROMIUM_SERVER] = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return async () => {
    server.close();
    await (await browser?.catch(() => undefined))?.close();
  };
}

function launch(): Promise<BrowserServer> {
  return chromium.launchServer({ executablePath: CHROMIUM as string, args: ARGS, timeout: PATIENCE_MS });
}
