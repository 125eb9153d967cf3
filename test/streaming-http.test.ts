import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { startSource } from './support/http/source.ts';
import { pattern } from './support/pattern.ts';
import { MemoryWatch } from './support/programs/memory-watch.ts';
import { makeDirectory } from './support/server/reserves.ts';
import { ServerProcess } from './support/server/server-process.ts';

const MIB = 1024 * 1024;

/** `HTTPFSTREAM_SOAK=1` streams the whole file, `npm test` the beginning of it. */
const TOTAL_BYTES = process.env.HTTPFSTREAM_SOAK ? 457_000_000 : 96_000_000;

/** Part of the file after which memory is not to grow much. */
const WARM_UP_BYTES = TOTAL_BYTES / 4;

const MAX_GROWTH_BYTES = 64 * MIB;

/** A prime, so that no size that anything is cut into divides it. */
const BLOCK = pattern(0, 1_000_003);

const COMMAND = path.join(import.meta.dirname, '../dist/bin/httpfstream-append.js');
const FORM_CLIENT = path.join(import.meta.dirname, 'support/http/form-client.mjs');

/** A web server with one file, which it makes up as it sends it. */
class Source {
  sentBytes = 0;
  sha256 = '';
  readonly url: string;

  private constructor(url: string) {
    this.url = url;
  }

  static async start(): Promise<Source> {
    const source: Source = new Source(
      await startSource((_request, response) => {
        response.setHeader('content-length', TOTAL_BYTES);
        // Whoever asks goes away when the test fails.
        pipeline(Readable.from(source.#blocks()), response).catch(() => undefined);
      }),
    );
    return source;
  }

  *#blocks(): Generator<Buffer, void, undefined> {
    const hash = createHash('sha256');
    this.sentBytes = 0;
    while (this.sentBytes < TOTAL_BYTES) {
      const block = BLOCK.subarray(0, Math.min(BLOCK.length, TOTAL_BYTES - this.sentBytes));
      hash.update(block);
      this.sentBytes += block.length;
      yield block;
    }
    this.sha256 = hash.digest('hex');
  }
}

function start(args: readonly string[]): ChildProcess & { stdout: Readable; stderr: Readable } {
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  onTestFinished(() => {
    child.kill('SIGKILL');
  });
  return child;
}

async function sha256Of(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const bytes of createReadStream(file, { highWaterMark: MIB })) hash.update(bytes);
  return hash.digest('hex');
}

let server: ServerProcess;

beforeAll(async () => {
  server = new ServerProcess(await makeDirectory('quick'));
  await server.start();
});

afterAll(async () => {
  await server.stop();
  await rm(server.root, { recursive: true });
});

test.each([
  {
    way: '--from-url',
    args: (source: string, target: string) => [COMMAND, '--from-url', source, `${target}url/file.bin`],
    file: 'url/file.bin',
  },
  {
    way: 'a form',
    args: (source: string, target: string) => [FORM_CLIENT, source, `${target}form/?verb=APPEND`, 'file.bin'],
    file: 'form/file.bin',
  },
])('what another server sends goes through $way in constant memory', async ({ args, file }) => {
  const source = await Source.start();
  const client = start(args(source.url, server.url('/')));
  const isWarm = () => source.sentBytes >= WARM_UP_BYTES;
  const memories = [client, server.child].map(({ pid }) => new MemoryWatch(pid as number, isWarm));
  const [[exitCode], answer, complaint] = await Promise.all([
    once(client, 'exit'),
    text(client.stdout),
    text(client.stderr),
  ]);
  const growths = memories.map((memory) => memory.growthBytes());
  expect(complaint).toBe('');
  expect(exitCode, answer).toBe(0);
  for (const growth of growths) expect(growth).toBeLessThan(MAX_GROWTH_BYTES);
  expect(await sha256Of(path.join(server.root, file))).toBe(source.sha256);
});
