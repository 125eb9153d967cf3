import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';
import { PATIENCE_MS } from '../patience.ts';

/** Where a Chromium is, if this machine has one: as `CHROMIUM` says, or where Debian puts it. */
export const CHROMIUM = [process.env.CHROMIUM ?? '', '/usr/bin/chromium'].find((file) => existsSync(file));

if (CHROMIUM === undefined && process.env.CI) {
  throw new Error(
    'there is no Chromium at /usr/bin/chromium, nor where CHROMIUM says: nothing of pages is tested',
  );
}

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

/** Starts the browser, without a window. To be closed by the caller. */
export function launchChromium(): Promise<Browser> {
  return chromium.launch({ executablePath: CHROMIUM as string, args: ARGS, timeout: PATIENCE_MS });
}
