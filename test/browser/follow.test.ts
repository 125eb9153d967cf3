import { once } from 'node:events';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type AppendOptions, append, openAppend } from '../../src/client/index.ts';
import { CHROMIUM } from '../support/programs/chromium.ts';
import { startServer } from '../support/server/server.ts';
import { LibraryPage } from './library-page.ts';

/** What `read` brings in the page. */
interface Read {
  text: string;
  states: string[];
  error: string | undefined;
  position: number;
  message: string | undefined;
  status: number | undefined;
  reason: string | undefined;
  told: { position: number; size: number; live: boolean }[];
}

async function startAppend(url: string, options: AppendOptions = {}) {
  const writable = openAppend(url, options);
  writable.on('error', () => undefined);
  onTestFinished(() => void writable.destroy());
  await once(writable, 'open');
  return writable;
}

if (CHROMIUM === undefined) {
  process.stderr.write(
    'No Chromium (/usr/bin/chromium, or CHROMIUM): the library for pages is not tested.\n',
  );
  describe('without a browser', () => {
    it('there is nothing to test', () => undefined);
  });
} else {
  const own = LibraryPage.forAllTests();
  const read = (script: string) => own.run<Read>(`return read(${script});`);

  describe('a page that follows', () => {
    it('gets what was written, then what is being written, and the status at the end', async () => {
      const server = await startServer();
      await own.open(server.url);
      await append(server.url('/a'), 'one\n');
      const writable = await startAppend(server.url('/a'), { status: () => 3 });
      const reading = read("'/a', {}, (text) => { window.text = text; }");
      await own.page.waitForFunction("window.text === 'one\\n'");
      writable.end('two\n');
      expect(await reading).toMatchObject({
        text: 'one\ntwo\n',
        states: ['live', 'finished'],
        told: [{ position: 0, size: 4, live: true }],
        position: 8,
        status: 3,
      });
    });

    it('reads what nobody appends to as it is, from any place', async () => {
      const server = await startServer();
      await own.open(server.url);
      await append(server.url('/a'), 'one\ntwo\nthree\n');
      expect(await read("'/a', { from: 4 }")).toMatchObject({
        text: 'two\nthree\n',
        states: ['idle', 'finished'],
      });
      expect(await read("'/a', { from: -6 }")).toMatchObject({ text: 'three\n', told: [{ position: 8 }] });
      expect(await read("location.origin + '/a#L1', { lines: 2 }")).toMatchObject({ text: 'two\nthree\n' });
      expect(
        await own.run("return follow('/a', { from: 1, lines: 1 });").catch((error) => error.message),
      ).toContain('exclude each other');
    });
  });
}
