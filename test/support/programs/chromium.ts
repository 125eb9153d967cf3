import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Browser } from 'playwright-core';
import { PATIENCE_MS } from '../patience.ts';

/**
 * Where a Chromium is, if this machine has one: as `CHROMIUM` says, or where Debian puts it. That without windows first, which
 * takes half of the processor time, for the same engine.
 */
export const CHROMIUM = [
  process.env.CHROMIUM ?? '',
  '/usr/bin/chromium-headless-shell',
  '/usr/bin/chromium',
].find((file) => existsSync(file));

/** The environment variable that says where it is told how to reach the one browser of all tests. */
export const CHROMIUM_SERVER = 'HTTPFSTREAM_TEST_CHROMIUM';

const require = createRequire(import.meta.url);

/**
 * Connects to the browser of all tests, which has no window. To be closed by the caller, whose pages go with that.
 *
 * @throws {Error} when it does not start
 */
export async function connectChromium(): Promise<Browser> {
  const answer = await fetch(process.env[CHROMIUM_SERVER] as string);
  const text = await answer.text();
  if (!answer.ok) throw new Error(text);
  // Where it is imported, Node reads all of it twice: to know what it exports, and to run it.
  const { chromium } = require('playwright-core') as typeof import('playwright-core');
  return chromium.connect(text, { timeout: PATIENCE_MS });
}
