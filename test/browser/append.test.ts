import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { follow, openAppend } from '../../src/client/index.ts';
import { ChaosProxy, NO_CHAOS } from '../support/chaos/proxy.ts';
import { NEVER_MS } from '../support/patience.ts';
import { CHROMIUM } from '../support/programs/chromium.ts';
import { Random } from '../support/random.ts';
import { RuleAccess } from '../support/server/rule-access.ts';
import { startServer } from '../support/server/server.ts';
import { waitFor } from '../support/wait-for.ts';
import { LibraryPage } from './library-page.ts';

const MIB = 1024 * 1024;

if (CHROMIUM === undefined) {
  process.stderr.write('No Chromium (/usr/bin/chromium, or CHROMIUM): how pages append is not tested.\n');
  it('without a browser there is nothing to test', () => {
    expect(CHROMIUM).toBeUndefined();
  });
} else {
  const own = LibraryPage.forAllTests();

  async function startNetwork(options: Parameters<typeof startServer>[0] = {}) {
    const server = await startServer(options);
    const network = await ChaosProxy.start(server.port, new Random(1), NO_CHAOS);
    await own.open((urlPath) => network.url(urlPath));
    return { server, network, file: path.join(server.root, 'a'), url: server.url('/a') };
  }

  describe('a page that appends', () => {
    it('writes bytes and text in order, is told what is safe, and how it ended', async () => {
      const server = await startServer();
      await own.open(server.url);
      await writeFile(path.join(server.root, 'a'), 'old ');
      const reading = follow(server.url('/a'));
      const script = `
        const states = [];
        const acks = [];
        const stream = openAppend('/a', {
          status: () => 3,
          onAck: (bytes) => acks.push(bytes),
          onState: ({ type }) => states.push(type),
        });
        // Nobody has to wait for each.
        stream.write('één ');
        stream.write(new Uint8Array([0xff, 10]));
        const result = await stream.close();
        const late = await stream.write('late').catch((error) => error.name);
        return [states, acks.at(-1), stream.startPosition, stream.acknowledgedBytes, result.position, result.bytes, late];
      `;
      expect(await own.run(script)).toEqual([['open', 'finished'], 8, 4, 8, 12, 8, 'TypeError']);
      expect(await readFile(path.join(server.root, 'a'))).toEqual(
        Buffer.concat([Buffer.from('old één '), Buffer.from([0xff, 10])]),
      );
      reading.destroy();
      const status = follow(server.url('/a')).resume();
      await once(status, 'end');
      expect(status.status).toBe(3);
    });

    it('appends what a source has or yields: bytes, text, a Blob with its type, streams and iterables', async () => {
      const server = await startServer();
      await own.open(server.url);
      const script = `
        const all = [];
        const parts = async function* () { yield 'a'; yield new Uint8Array([98]); };
        for (const source of ['text', new Blob(['blob'], { type: 'text/csv' }), new Blob(['stream']).stream(), parts()]) {
          all.push((await append('/' + all.length, source)).bytes);
        }
        const refused = [];
        for (const source of [1, new Response('body'), () => 'text', (async function* () { yield 1; })()]) {
          refused.push(await append('/refused', source).catch((error) => error.code));
        }
        return [all, refused];
      `;
      expect(await own.run(script)).toEqual([[4, 4, 6, 2], Array(4).fill('HFS_INVALID_SOURCE')]);
      const texts = ['0', '1', '2', '3'].map((name) => readFile(path.join(server.root, name), 'utf8'));
      expect(await Promise.all(texts)).toEqual(['text', 'blob', 'stream', 'ab']);
      expect((await fetch(server.url('/1'))).headers.get('content-type')).toContain('text/csv');
    });

    it('sends exactly what had not arrived when its connection breaks', async () => {
      const { network, file } = await startNetwork();
      const bytes = randomBytes(4 * MIB);
      await writeFile(path.join(path.dirname(file), 'source'), bytes);
      let cuts = 0;
      await own.page.exposeFunction('cut', () => {
        cuts++;
        network.resetAll();
      });
      const script = `
        const blob = await (await fetch('/source')).blob();
        const states = [];
        let next = 500_000;
        const { bytes } = await append('/a', blob, {
          retry: { minDelayMs: 1, maxDelayMs: 20, times: 1000 },
          onAck: (safe) => { if (safe > next) { next += 1_000_000; window.cut(); } },
          onState: ({ type }) => states.push(type),
        });
        return [bytes, states.slice(0, 3), states.at(-1)];
      `;
      expect(await own.run(script)).toEqual([
        bytes.length,
        ['open', 'reconnecting', 'connecting'],
        'finished',
      ]);
      expect(cuts).toBeGreaterThan(0);
      const hash = (content: Buffer) => createHash('sha256').update(content).digest('hex');
      expect(hash(await readFile(file))).toBe(hash(bytes));
    });

    it('ends as interrupted at once when it gives up, when its source fails, and when its page is left', async () => {
      const server = await startServer({ graceMs: NEVER_MS });
      await own.open(server.url);
      const ending = async (name: string, script: string, leave = async () => {}) => {
        const reading = follow(server.url(`/${name}`), { wait: 60 });
        const ended = new Promise((resolve) => reading.once('error', resolve));
        reading.resume();
        const error = own.run(script).catch(() => 'the page is gone');
        await leave();
        expect(await ended).toMatchObject({ code: 'HFS_STREAM_INTERRUPTED' });
        return error;
      };
      const aborted = `
        const controller = new AbortController();
        const stream = openAppend('/aborted', { signal: controller.signal });
        await stream.write('text');
        controller.abort(new Error('enough'));
        return [await stream.close().catch((error) => error.message), stream.state.type];
      `;
      expect(await ending('aborted', aborted)).toEqual(['enough', 'failed']);
      const broken = `
        const source = async function* () { yield 'text'; throw new Error('no more'); };
        return append('/broken', source()).catch((error) => error.message);
      `;
      expect(await ending('broken', broken)).toBe('no more');
      const left =
        "window.stream = openAppend('/left'); await window.stream.write('text'); await new Promise(() => {});";
      const leave = async () => {
        await own.untilState('open');
        await own.page.goto('about:blank');
      };
      expect(await ending('left', left, leave)).toBe('the page is gone');
    });

    it('is told the truth about a refusal, though a browser does not tell it', async () => {
      const rules = { '/**': ['append'] } as const;
      const access = new RuleAccess({ good: { rules }, other: { rules: { '/a': ['follow'] } } });
      const server = await startServer({ access });
      await own.open(server.url);
      await writeFile(path.join(server.root, 'a'), 'text');
      const held = openAppend(server.url('/held'), { token: 'good' });
      onTestFinished(() => void held.destroy());
      await once(held, 'open');
      const refusal = (options: string, url = '/a') =>
        own.run(`return append('${url}', 'x', ${options}).catch((error) => error.code);`);
      expect(await refusal('{}')).toBe('HFS_UNAUTHORIZED');
      expect(await refusal("{ token: 'other' }")).toBe('HFS_FORBIDDEN_RIGHT');
      expect(await refusal("{ token: 'good' }", '/held')).toBe('HFS_APPEND_CONFLICT');
      expect(await refusal("{ token: 'good', expect: 3 }")).toBe('HFS_POSITION_MISMATCH');
      expect(await refusal("{ token: 'good' }", '/.httpfstream/a')).toBe('HFS_FORBIDDEN_PATH');
      expect(await refusal("{ contentType: 'none' }")).toBeUndefined();
      expect(await readFile(path.join(server.root, 'a'), 'utf8')).toBe('text');
    });

    it('holds its writer back while the server takes nothing', async () => {
      const { network, file } = await startNetwork();
      const script = `
        const stream = openAppend('/a', { bufferBytes: 100_000 });
        window.stream = stream;
        window.accepted = 0;
        const chunk = new Uint8Array(50_000);
        for (let i = 0; i < 10; i++) {
          await stream.write(chunk);
          window.accepted++;
          if (i === 0) await new Promise((resolve) => { window.go = resolve; });
        }
        return (await stream.close()).bytes;
      `;
      const appending = own.run<number>(script);
      await own.page.waitForFunction('window.go && window.stream.acknowledgedBytes === 50_000');
      network.stallAll();
      await own.run('window.go();');
      await own.page.waitForFunction('window.accepted === 3');
      await own.run('for (let i = 0; i < 100; i++) await new Promise((resolve) => setTimeout(resolve));');
      expect(await own.run('return window.accepted;')).toBe(3);
      network.resumeAll();
      expect(await appending).toBe(500_000);
      await waitFor(async () => (await readFile(file)).length === 500_000, 'all of it');
    });
  });
}
