import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Page } from 'playwright-core';
import { expect } from 'vitest';
import { waitFor } from '../wait-for.ts';

/** For pages only: to run it here, too, would take as long as to load the server. */
const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');

/** A look at the page of a text, as somebody before the screen has it. */
export class LogLook {
  readonly page: Page;
  readonly #said: { troubles: () => readonly string[]; console: () => readonly string[] };

  constructor(page: Page, said: { troubles: () => readonly string[]; console: () => readonly string[] }) {
    this.page = page;
    this.#said = said;
  }

  /** Waits until the badge says so. */
  async state(word: string | RegExp): Promise<void> {
    await this.page.locator('.state > span[aria-hidden]', { hasText: word }).waitFor();
  }

  /** What the rows say that are shown. */
  rows(): Promise<string[]> {
    return this.page.locator('.row:not(.away) > .text').allTextContents();
  }

  /** Waits until a row says so. */
  async row(text: string): Promise<void> {
    await waitFor(async () => (await this.rows()).includes(text), `a row ${JSON.stringify(text)}`);
  }

  /** Waits until no row says so any more. */
  async noRow(text: string): Promise<void> {
    await waitFor(async () => !(await this.rows()).includes(text), `no row ${JSON.stringify(text)}`);
  }

  /** Waits until it is said how much has come that is not in view. */
  async pill(text: string): Promise<void> {
    await this.page.locator('.pill', { hasText: text }).waitFor();
  }

  /** What is copied of what is selected. */
  async copied(): Promise<string> {
    await this.page.evaluate(`document.addEventListener('copy', (event) => {
      window.copied = event.clipboardData.getData('text/plain');
    }, { once: true })`);
    await this.press('Control+c');
    return (await this.page.evaluate('window.copied')) as string;
  }

  press(key: string): Promise<void> {
    return this.page.keyboard.press(key);
  }

  /** What axe finds: rules, and where they are broken. Of all rules, or of these alone. */
  async axeViolations(rules?: readonly string[]): Promise<{ id: string; targets: string[] }[]> {
    // Selectors of all that breaks no rule take longer than the rules.
    const options = { resultTypes: ['violations'], ...(rules && { runOnly: rules }) };
    if (await this.page.evaluate('window.axe === undefined')) {
      await this.page.evaluate(readFileSync(AXE, 'utf8'));
    }
    return this.page.evaluate(`(async () => {
      const { violations } = await window.axe.run(${JSON.stringify(options)});
      return violations.map(({ id, nodes }) => ({ id, targets: nodes.flatMap(({ target }) => target) }));
    })()`);
  }

  /** What has moved by itself since the page was opened, as HTML. */
  jumps(): Promise<string[]> {
    return this.page.evaluate('window.jumps');
  }

  /** Nothing that the page shows has run, and its policy had nothing to forbid. */
  async expectHarmless(): Promise<void> {
    expect(await this.page.evaluate('window.ran')).toBeUndefined();
    expect(this.#said.troubles()).toEqual([]);
  }

  /** Whoever looks into the console finds nothing there. */
  expectQuiet(): void {
    expect(this.#said.console()).toEqual([]);
  }
}
