import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, beforeAll, onTestFinished } from 'vitest';
import { PATIENCE_MS } from '../patience.ts';
import { CHROMIUM, connectChromium } from '../programs/chromium.ts';
import { LogLook } from './log-look.ts';

const NOTE_VIOLATIONS = `document.addEventListener('securitypolicyviolation', (event) => {
  window.noteTrouble(event.violatedDirective + ' ' + event.blockedURI);
});`;

/** What moves by itself, but for what the browser draws within an element, and for pictures. */
const NOTE_JUMPS = `window.jumps = [];
new PerformanceObserver((list) => {
  for (const { hadRecentInput, sources } of list.getEntries()) {
    if (hadRecentInput) continue;
    const own = sources.map(({ node }) => node).filter((node) => node !== null && node.nodeName !== 'IMG');
    window.jumps.push(...own.map((node) => node.outerHTML ?? node.textContent));
  }
}).observe({ type: 'layout-shift', buffered: true });`;

/** One browser, and one page in it, for all tests of a file. */
export class ViewerBrowser {
  /** Whether this machine has one. */
  static readonly isThere = CHROMIUM !== undefined;

  #browser: Browser | undefined;
  #context: BrowserContext | undefined;
  #page: Page | undefined;
  /** What a browser complains of, and a page must not do. */
  #troubles: string[] = [];
  /** What stands in its console. */
  #console: string[] = [];

  /** To be called where tests are described. */
  static forAllTests(): ViewerBrowser {
    const own = new ViewerBrowser();
    if (!ViewerBrowser.isThere) {
      process.stderr.write(
        'No Chromium (/usr/bin/chromium, or CHROMIUM): the pages of the viewer are not tested.\n',
      );
      return own;
    }
    beforeAll(() => own.#start());
    afterAll(() => own.#browser?.close());
    return own;
  }

  /** Opens the page of a text, until the test is over. */
  async open(url: string): Promise<LogLook> {
    const page = this.#page as Page;
    this.#troubles = [];
    this.#console = [];
    onTestFinished(async () => void (await page.goto('about:blank')));
    await page.goto(url);
    return new LogLook(page, { troubles: () => this.#troubles, console: () => this.#console });
  }

  async #start(): Promise<void> {
    this.#browser = await connectChromium();
    this.#context = await this.#browser.newContext({
      viewport: { width: 1000, height: 600 },
      // What moves by itself is painted while a page waits, too.
      reducedMotion: 'reduce',
    });
    this.#page = await this.#context.newPage();
    this.#page.setDefaultTimeout(PATIENCE_MS);
    this.#page.on('pageerror', (error) => this.#troubles.push(error.message));
    this.#page.on('console', (message) => this.#console.push(`${message.type()}: ${message.text()}`));
    await this.#page.exposeFunction('noteTrouble', (text: string) => this.#troubles.push(text));
    await this.#page.addInitScript(NOTE_VIOLATIONS);
    await this.#page.addInitScript(NOTE_JUMPS);
  }
}
