import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { rm, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type AppendOptions, append, openAppend } from '../../src/client/index.ts';
import { ChaosProxy, NO_CHAOS } from '../support/chaos/proxy.ts';
import { NEVER_MS } from '../support/patience.ts';
import { CHROMIUM } from '../support/programs/chromium.ts';
import { Random } from '../support/random.ts';
import { RuleAccess } from '../support/server/rule-access.ts';
import { startServer } from '../support/server/server.ts';
import { waitFor } from '../support/wait-for.ts';
import { LibraryPage } from './library-page.ts';

const MIB = 1024 * 1024;

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

const QUICK = 'retry: { minDelayMs: 1, maxDelayMs: 20, times: 1000 }';

if (CHROMIUM === undefined) {
  process.stderr.write('No Chromium (/usr/bin/chromium, or CHROMIUM): how pages follow is not tested.\n');
  it('without a browser there is nothing to test', () => {
    expect(CHROMIUM).toBeUndefined();
  });
} else {
  const own = LibraryPage.forAllTests();
  const read = (script: string) => own.run<Read>(`return read(${script});`);

  /** A server, and a network before it, to which the page belongs. */
  async function startNetwork(options: Parameters<typeof startServer>[0] = {}) {
    const server = await startServer(options);
    const network = await ChaosProxy.start(server.port, new Random(1), NO_CHAOS);
    await own.open((urlPath) => network.url(urlPath));
    return { server, network, file: path.join(server.root, 'a'), url: server.url('/a') };
  }

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
      const wrong = `
        const thrown = (call) => { try { call(); } catch (error) { return error.code ?? error.name; } };
        return [
          thrown(() => follow('/a', { from: 1, lines: 1 })),
          thrown(() => follow('ftp://host/a')),
          thrown(() => follow(location.origin.replace('//', '//user:pass@') + '/a')),
          thrown(() => follow('/a', { token: 'not a token' })),
        ];
      `;
      expect(await own.run(wrong)).toEqual(['TypeError', 'HFS_INVALID_URL', 'HFS_INVALID_URL', 'TypeError']);
    });

    it('goes on where it was when its connection breaks, and nothing comes twice', async () => {
      const { network, url } = await startNetwork();
      const bytes = randomBytes(4 * MIB);
      const writable = await startAppend(url);
      const reading = own.run<{ hash: string; states: string[]; length: number }>(`
        const states = [];
        const parts = [];
        window.length = 0;
        for await (const chunk of follow('/a', { ${QUICK}, onState: ({ type }) => states.push(type) })) {
          parts.push(chunk);
          window.length += chunk.length;
        }
        const digest = await crypto.subtle.digest('SHA-256', await new Blob(parts).arrayBuffer());
        return { hash: Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join(''), states, length };
      `);
      for (let at = 0; at < bytes.length; at += MIB) {
        writable.write(bytes.subarray(at, at + MIB));
        await own.page.waitForFunction(`window.length > ${at}`);
        network.resetAll();
      }
      writable.end();
      const { hash, states, length } = await reading;
      expect(length).toBe(bytes.length);
      expect(hash).toBe(createHash('sha256').update(bytes).digest('hex'));
      expect(states.slice(0, 3)).toEqual(['live', 'reconnecting', 'connecting']);
      expect(states.at(-1)).toBe('finished');
    });

    it('says when it connects again to a server that is gone, and does it now if it is told to', async () => {
      const { network, url } = await startNetwork();
      const writable = await startAppend(url);
      const reading = own.run<{ text: string; waitMs: number; error: string }>(`
        let told;
        const stream = follow('/a', {
          retry: { minDelayMs: ${NEVER_MS}, maxDelayMs: ${NEVER_MS} },
          onState: (state) => { if (state.type === 'reconnecting') told = state; window.type = state.type; },
        });
        window.stream = stream;
        const decoder = new TextDecoder();
        let text = '';
        for await (const chunk of stream) text += decoder.decode(chunk);
        return { text, waitMs: told.retryAt - Date.now(), error: told.error.code };
      `);
      await own.page.waitForFunction("window.type === 'live'");
      network.refuse(true);
      network.cutAll();
      await own.page.waitForFunction("window.type === 'reconnecting'");
      network.refuse(false);
      writable.end('all');
      await own.run('window.stream.reconnect();');
      const { text, waitMs, error } = await reading;
      expect([text, error]).toEqual(['all', 'HFS_CONNECTION']);
      expect(waitMs).toBeGreaterThan(0);
    });

    it('is told the truth about a refusal, though a browser does not tell it', async () => {
      const rules = { '/f': ['follow'], '/none': ['follow'] } as const;
      const authorize = new RuleAccess({ good: { rules }, other: { rules: { '/o': ['follow'] } } });
      const server = await startServer({ access: authorize });
      await own.open(server.url);
      await writeFile(path.join(server.root, 'f'), 'text');
      const refusal = async (script: string) => {
        const { error, states } = await read(script);
        expect(states).toEqual(['failed']);
        return error;
      };
      expect(await refusal("'/f'")).toBe('HFS_UNAUTHORIZED');
      expect(await refusal("'/f', { token: 'bad' }")).toBe('HFS_UNAUTHORIZED');
      expect(await refusal("'/f', { token: 'other' }")).toBe('HFS_FORBIDDEN_RIGHT');
      expect(await refusal("'/none', { token: 'good' }")).toBe('HFS_RESOURCE_NOT_FOUND');
      expect(await refusal("'/f', { token: 'good', from: 5 }")).toBe('HFS_RANGE_NOT_SATISFIABLE');
      expect(await refusal("'/f', { token: 'good', generation: 1 }")).toBe('HFS_RESOURCE_GONE');
      expect(await refusal("'http://127.0.0.1:1/f'")).toBe('HFS_CONNECTION');
      expect(await refusal("'/f', { token: () => { throw new Error('no token') } }")).toBe('no token');
      // A function is asked once more.
      const asked =
        "let calls = 0; return [await read('/f', { token: () => ['bad', 'good'][calls++] }), calls];";
      expect(await own.run(asked)).toMatchObject([{ text: 'text', error: undefined }, 2]);
    });

    it('waits for what is not there yet', async () => {
      const server = await startServer();
      await own.open(server.url);
      const reading = read("'/a', { wait: 60 }");
      await own.untilState('missing');
      const writable = await startAppend(server.url('/a'));
      writable.end('text');
      expect(await reading).toMatchObject({ text: 'text', states: ['missing', 'live', 'finished'] });
    });

    it('is told of each other end, after the bytes before it', async () => {
      const { file, url } = await startNetwork({ graceMs: 0 });
      const ended = async (end: (writable: Awaited<ReturnType<typeof startAppend>>) => unknown) => {
        const writable = await startAppend(url);
        writable.write('text');
        const reading = read("'/a', {}, (text) => { window.text = text; }");
        await own.page.waitForFunction("window.text === 'text'");
        await own.run("window.text = '';");
        await end(writable);
        const { text, error, reason, states } = await reading;
        expect([text, states.at(-1)]).toEqual(['text', 'failed']);
        await rm(file, { force: true });
        return [error, reason];
      };
      expect(await ended((writable) => writable.destroy())).toEqual([
        'HFS_STREAM_INTERRUPTED',
        'interrupted',
      ]);
      expect(await ended(() => rm(file))).toEqual(['HFS_RESOURCE_GONE', 'deleted']);
      expect(await ended(() => truncate(file, 1))).toEqual(['HFS_STREAM_TRUNCATED', 'truncated']);
    });

    it('says that the appender was lost, and is back', async () => {
      const { network, server } = await startNetwork({ graceMs: NEVER_MS });
      await own.open(server.url);
      const writable = await startAppend(network.url('/a'), { retry: { minDelayMs: 1, times: NEVER_MS } });
      const reading = read("'/a'");
      writable.write('one');
      await own.untilState('live');
      network.refuse(true);
      network.cutAll();
      await own.untilState('waiting');
      network.refuse(false);
      await own.untilState('live');
      writable.end();
      expect(await reading).toMatchObject({ text: 'one', states: ['live', 'waiting', 'live', 'finished'] });
    });

    it('is told each second what goes on, if it wants to be', async () => {
      const server = await startServer();
      await own.open(server.url);
      const writable = await startAppend(server.url('/a'));
      const reading = read("'/a', { onActivity: (activity) => { window.activity = activity; } }");
      writable.write('text');
      await own.page.waitForFunction('window.activity?.position === 4');
      expect(await own.run('return window.activity;')).toEqual({
        time: expect.any(Number),
        position: 4,
        followers: 1,
        rate: expect.any(Number),
      });
      writable.end();
      expect(await reading).toMatchObject({ text: 'text' });
    });

    it('closes its connection when the reader leaves, and when it is aborted', async () => {
      const { network, url } = await startNetwork();
      const writable = await startAppend(url);
      writable.write('text');
      const idle = network.socketCount;
      const left = `
        const stream = follow('/a');
        for await (const chunk of stream) break;
        let again;
        try { for await (const chunk of stream); } catch (error) { again = error.name; }
        return [stream.state.type, stream.position, again];
      `;
      expect(await own.run(left)).toEqual(['closed', 4, 'TypeError']);
      await waitFor(() => network.socketCount <= idle, 'the connection to close');
      const aborted = `
        const controller = new AbortController();
        return read('/a', { signal: controller.signal }, () => controller.abort(new Error('enough')));
      `;
      expect(await own.run(aborted)).toMatchObject({ error: 'enough', states: ['live', 'failed'] });
      await waitFor(() => network.socketCount <= idle, 'the connection to close');
    });

    it('that does not read on is sent no more than so much, and misses nothing', async () => {
      const { file, network } = await startNetwork();
      const size = 40 * MIB;
      await writeFile(file, Buffer.alloc(size, 'x'));
      await own.run('');
      const idle = network.socketCount;
      const reading = own.run<number>(`
        let length = 0;
        const stream = follow('/a');
        for await (const chunk of stream) {
          if (length === 0) await new Promise((resolve) => { window.go = resolve; });
          length += chunk.length;
        }
        return length;
      `);
      await own.page.waitForFunction('window.go');
      await waitFor(() => network.socketCount <= idle, 'the page to close its connection');
      const connections = network.counts.connection;
      await own.run('window.go();');
      expect(await reading).toBe(size);
      expect(network.counts.connection).toBeGreaterThan(connections);
    });
  });
}
