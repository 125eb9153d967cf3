import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { runAppend } from '../../src/cli/append/run-append.ts';
import { runFollow } from '../../src/cli/follow/run-follow.ts';
import { runServer } from '../../src/cli/server/run-server.ts';
import { OriginalServer } from '../support/original/server.ts';
import { pattern } from '../support/pattern.ts';
import {
  CommandHere,
  portOf,
  RunningCommand,
  runHere,
  startServerCommand,
} from '../support/programs/command.ts';
import { waitFor } from '../support/wait-for.ts';

const MIB = 1024 * 1024;

const TOTAL_MIB = 96;

/** After so many the heaps have found their sizes. */
const WARM_MIB = 24;

/** By how much more the memory of any process may grow: less than what it passes on meanwhile. */
const MAX_GROWTH_BYTES = 64 * MIB;

/** Reads the pattern from its beginning; tells how many bytes have come. */
async function readPattern(
  readable: Readable,
  onBytes: (count: number) => unknown = () => {},
): Promise<number> {
  let count = 0;
  for await (const chunk of readable as AsyncIterable<Buffer>) {
    if (!chunk.equals(pattern(count, chunk.length))) throw new Error(`other bytes after byte ${count}`);
    count += chunk.length;
    await onBytes(count);
  }
  return count;
}

const peaksOf = (commands: readonly RunningCommand[]) =>
  Promise.all(commands.map((command) => command.peakMemoryBytes()));

function expectLittleGrowth(warm: readonly number[], peaks: readonly number[]): void {
  for (const [i, peak] of peaks.entries()) expect(peak - (warm[i] as number)).toBeLessThan(MAX_GROWTH_BYTES);
}

describe('httpfstream-append and httpfstream-follow', () => {
  test(`${TOTAL_MIB} MiB go from standard input to the file to standard output as they are, and take no more memory than little does`, async () => {
    const server = await startServerCommand();
    const append = new RunningCommand('httpfstream-append', [server.url('/a')]);
    const send = async (fromMib: number, toMib: number) => {
      for (let mib = fromMib; mib < toMib; mib++) {
        if (!append.child.stdin.write(pattern(mib * MIB, MIB))) await once(append.child.stdin, 'drain');
      }
    };
    await send(0, 1);
    await waitFor(async () => (await fetch(server.url('/a'), { method: 'HEAD' })).ok, 'the file');
    const live = new RunningCommand('httpfstream-follow', [server.url('/a')], { readsStdout: true });
    let liveBytes = 0;
    const read = readPattern(live.child.stdout, (count) => {
      liveBytes = count;
    });
    const commands = [server.command, append, live];
    await send(1, WARM_MIB);
    await waitFor(() => liveBytes === WARM_MIB * MIB, 'the first bytes');
    const warm = await peaksOf(commands);
    await send(WARM_MIB, TOTAL_MIB);
    await waitFor(() => liveBytes === TOTAL_MIB * MIB, 'all bytes');
    expectLittleGrowth(warm, await peaksOf(commands));
    append.child.stdin.end();
    expect([await append.exit, await live.exit, await read]).toEqual([0, 0, TOTAL_MIB * MIB]);
    expect(await readPattern(createReadStream(server.file('a')))).toBe(TOTAL_MIB * MIB);

    const idle = new RunningCommand('httpfstream-follow', [server.url('/a')], { readsStdout: true });
    const idleCommands = [server.command, idle];
    let idleWarm: number[] | undefined;
    let idlePeaks: number[] | undefined;
    const idleBytes = await readPattern(idle.child.stdout, async (count) => {
      if (count >= WARM_MIB * MIB) idleWarm ??= await peaksOf(idleCommands);
      // More than a pipe holds: it still runs.
      if (count >= (TOTAL_MIB - 1) * MIB) idlePeaks ??= await peaksOf(idleCommands);
    });
    expect([await idle.exit, idleBytes]).toEqual([0, TOTAL_MIB * MIB]);
    expectLittleGrowth(idleWarm as number[], idlePeaks as number[]);
  });

  test('wait for a server that is killed and comes back: with -v that is told, and no byte is lost', async () => {
    const first = await startServerCommand();
    const append = new CommandHere(runAppend, ['-v', first.url('/a')]);
    append.stdin.write('before ');
    await waitFor(async () => (await readFile(first.file('a'), 'utf8').catch(() => '')) !== '', 'the file');
    const follow = new CommandHere(runFollow, ['-v', first.url('/a')]);
    await waitFor(() => follow.stdoutBytes === 7, 'the bytes');
    first.command.signal('SIGKILL');
    // Its connections may be gone before its port is free.
    await first.command.exit;
    await waitFor(() => [append, follow].every(({ stderr }) => stderr.includes('attempt 1')), 'attempts');
    append.stdin.end('after');
    await portOf(new CommandHere(runServer, [`-root=${first.root}`, `-http=127.0.0.1:${first.port}`]));
    expect([await append.exit, await follow.exit]).toEqual([0, 0]);
    for (const { stderr } of [append, follow]) {
      expect(stderr).toMatch(
        /\n(?:http\S+: )?connection lost \([^\n]+\): trying again in \d+\.\d s \(attempt 1\)\n/,
      );
      expect(stderr).toMatch(/\n(?:http\S+: )?connected again\n/);
    }
    expect(follow.stdout.toString()).toBe('before after');
    expect(await readFile(first.file('a'), 'utf8')).toBe('before after');
  });

  test('work with the server of the original', async () => {
    const server = await OriginalServer.start({ pingMs: 20 });
    const url = server.url('/dir/a');
    const bytes = randomBytes(2 * MIB);
    const append = new CommandHere(runAppend, ['-v', url]);
    append.stdin.write(bytes.subarray(0, MIB));
    await waitFor(() => server.content('/dir/a').length === MIB, 'the first bytes');
    const follow = new CommandHere(runFollow, ['-v', url]);
    await waitFor(() => follow.stdoutBytes === MIB && server.pings > 0, 'the history and a ping');
    const conflict = await runHere(runAppend, [url], { input: 'x' });
    expect(conflict).toMatchObject({
      exit: 1,
      stderr: `failed to append from stdin to ${url}: HTTP status 403: addWriter: path already has an active writer\n`,
    });
    append.stdin.end(bytes.subarray(MIB));
    expect(await append.exit).toBe(0);
    expect(append.stderr).toBe(`appending from stdin to ${url}\nfinished appending from stdin to ${url}\n`);
    expect(await follow.exit).toBe(0);
    expect(follow.stdout.equals(bytes)).toBe(true);
    expect(follow.stderr).toBe(
      `following data at ${url} (ctrl-C to exit)\nfinished following (read ${bytes.length} bytes)\n`,
    );
    const idle = new CommandHere(runFollow, [url]);
    expect(await idle.exit).toBe(0);
    expect(idle.stdout.equals(bytes)).toBe(true);
    expect((await runHere(runFollow, [server.url('/none')])).stderr).toBe(
      `failed to begin following ${server.url('/none')}: file does not exist\n`,
    );
  });
});
