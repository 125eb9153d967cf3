import path from 'node:path';
import { build } from 'esbuild';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, beforeAll, onTestFinished } from 'vitest';
import { PATIENCE_MS } from '../support/patience.ts';
import { connectChromium } from '../support/programs/chromium.ts';

const LIBRARY = path.join(import.meta.dirname, '../../dist/lib/browser.js');

/** Where the page is, on whatever server: the browser makes it, and asks nobody. */
const PAGE_PATH = '/-page-of-the-test';

/** A page with the library, bundled as an application would do it. */
async function htmlOfPage(): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [LIBRARY],
    bundle: true,
    minify: true,
    format: 'iife',
    globalName: 'library',
    platform: 'browser',
    write: false,
  });
  return `<!doctype html><link rel="icon" href="data:,"><script>${outputFiles[0]?.text}</script>`;
}

/** One browser, and one page in it, for all tests of a file. */
export class LibraryPage {
  #browser: Browser | undefined;
  #context: BrowserContext | undefined;
  #page: Page | undefined;

  /** To be called where tests are described. */
  static forAllTests(): LibraryPage {
    const own = new LibraryPage();
    beforeAll(() => own.#start());
    afterAll(() => own.#browser?.close());
    return own;
  }

  async #start(): Promise<void> {
    const [html, browser] = await Promise.all([htmlOfPage(), connectChromium()]);
    this.#browser = browser;
    this.#context = await browser.newContext({ permissions: ['local-network-access'] });
    this.#page = await this.#context.newPage();
    this.#page.setDefaultTimeout(PATIENCE_MS);
    await this.#page.route(`**${PAGE_PATH}`, (route) =>
      route.fulfill({ contentType: 'text/html', body: html }),
    );
  }

  /** Waits until what is read, or appended, in the page is in this state. */
  async untilState(type: string): Promise<void> {
    await this.page.waitForFunction(`window.stream?.state.type === '${type}'`);
  }

  /** Goes to a page of the server's origin, until the test is over. */
  async open(url: (path: string) => string): Promise<void> {
    await this.page.goto(url(PAGE_PATH));
    onTestFinished(async () => void (await this.page.goto('about:blank')));
  }

  get page(): Page {
    if (this.#page === undefined) throw new Error('the browser has not started');
    return this.#page;
  }

  /**
   * Runs the body of an async function in the page. It has all of the library, and
   * `read(url, options)`, which follows to the end and says what came; meanwhile `window.stream` is what it reads.
   */
  run<Result>(script: string): Promise<Result> {
    return this.page.evaluate(`(async () => {
      const { ${NAMES.join(', ')} } = window.library;
      ${HELPERS}
      ${script}
    })()`);
  }
}

const NAMES = ['append', 'follow', 'openAppend'];

const HELPERS = `
  const read = async (url, options = {}, onText = () => {}) => {
    const states = [];
    const told = [];
    const stream = follow(url, {
      ...options,
      onOpen: (opening) => told.push(opening),
      onState: (state) => states.push(state.type),
    });
    window.stream = stream;
    const decoder = new TextDecoder();
    let text = '';
    let error;
    try {
      for await (const chunk of stream) onText((text += decoder.decode(chunk, { stream: true })), stream);
    } catch (thrown) {
      error = thrown?.code ?? thrown?.message ?? thrown;
    }
    const { position, state } = stream;
    return { text, states, error, position, told, message: state.error?.message, status: state.status, reason: state.reason };
  };
`;
