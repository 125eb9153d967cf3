import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { Writable } from 'node:stream';
import { describe, expect, onTestFinished, test } from 'vitest';
import { LogOutput } from '../../../src/cli/server/server-log.ts';
import { temporaryDirectory } from '../../support/server/server.ts';
import { waitFor } from '../../support/wait-for.ts';

const MIB = 1024 * 1024;

/** Takes lines, or not. */
class Reader extends Writable {
  text = '';
  #held: (() => void) | undefined;
  #reads = true;

  override _write(chunk: Buffer, _encoding: string, callback: () => void): void {
    this.text += chunk;
    if (this.#reads) callback();
    else this.#held = callback;
  }

  setReading(reads: boolean): void {
    this.#reads = reads;
    if (reads) this.#held?.();
  }
}

describe('the lines of a log', () => {
  test('all come when somebody reads', () => {
    const reader = new Reader();
    const output = new LogOutput(reader, () => expect.unreachable());
    for (let i = 0; i < 1000; i++) output.write(`line ${i}\n`);
    expect(reader.text.split('\n')).toHaveLength(1001);
  });

  test('are dropped beyond a bound when nobody does, which is told once somebody does', async () => {
    const reader = new Reader();
    const dropped: number[] = [];
    const output = new LogOutput(reader, (count) => dropped.push(count));
    reader.setReading(false);
    const line = `${'x'.repeat(999)}\n`;
    for (let i = 0; i < 5000; i++) output.write(line);
    expect(reader.writableLength).toBeLessThanOrEqual(MIB);
    expect(reader.writableLength).toBeGreaterThan(MIB - 1000);
    const kept = reader.writableLength / line.length;
    expect(dropped).toEqual([]);
    reader.setReading(true);
    await waitFor(() => dropped.length > 0, 'what was dropped to be told');
    expect(dropped).toEqual([5000 - kept]);
    output.write('after\n');
    await waitFor(() => reader.text.endsWith('after\n'), 'a line after that');
    expect(reader.text).toBe(`${line.repeat(kept)}after\n`);
  });
});

test.skipIf(process.platform !== 'linux')(
  'an output that fails loses its lines, and fails nobody',
  async () => {
    const full = fs.createWriteStream('/dev/full');
    const output = new LogOutput(full, () => expect.unreachable());
    output.write('line\n');
    await waitFor(() => full.errored !== null, 'the error');
    output.write('another\n');
  },
);

/** A server whose standard output is a pipe that is not read, but for the first line. */
async function startUnread(): Promise<{ child: ChildProcess; port: string }> {
  const root = await temporaryDirectory();
  const program = path.resolve('dist/bin/httpfstream-server.js');
  const child = spawn(process.execPath, [program, `-root=${root}`, '-http=127.0.0.1:0'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const [line] = (await once(child.stdout as NodeJS.ReadableStream, 'data')) as [Buffer];
  child.stdout?.pause();
  return { child, port: /127\.0\.0\.1:(\d+)/.exec(line.toString())?.[1] as string };
}

test('a server whose log nobody reads serves, and closes in order when it is told to', async () => {
  const { child, port } = await startUnread();
  // Each is a line of the log; together more than a pipe takes.
  for (let i = 0; i < 100; i++) {
    const answer = await fetch(`http://127.0.0.1:${port}${'/missing'.repeat(150)}`);
    expect(answer.status).toBe(404);
  }
  child.kill('SIGTERM');
  expect(await once(child, 'exit')).toEqual([0, null]);
});
