import { randomBytes } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { OriginalServer } from '../support/original-server.ts';
import { waitFor } from '../support/wait-for.ts';
import { RunningCommand, run, startServerCommand } from './command.ts';

const MIB = 1024 * 1024;

async function sizeOf(file: string): Promise<number> {
  return (await stat(file).catch(() => undefined))?.size ?? -1;
}

describe('httpfstream-append and httpfstream-follow', () => {
  test('64 MiB of random bytes go from standard input to the file to standard output as they are', async () => {
    const server = await startServerCommand();
    const bytes = randomBytes(64 * MIB);
    const append = new RunningCommand('httpfstream-append', [server.url('/a')]);
    append.child.stdin.write(bytes.subarray(0, MIB));
    await waitFor(async () => (await sizeOf(server.file('a'))) === MIB, 'the first bytes');
    const follow = new RunningCommand('httpfstream-follow', [server.url('/a')]);
    await waitFor(() => follow.stdoutBytes === MIB, 'the history');
    append.child.stdin.end(bytes.subarray(MIB));
    expect(await append.exit).toBe(0);
    expect(await follow.exit).toBe(0);
    expect((await readFile(server.file('a'))).equals(bytes)).toBe(true);
    expect(follow.stdout.equals(bytes)).toBe(true);
    const idle = await run('httpfstream-follow', [server.url('/a')]);
    expect(idle.bytes.equals(bytes)).toBe(true);
  });

  test('work with the server of the original', async () => {
    const server = await OriginalServer.start({ pingMs: 20 });
    const url = server.url('/dir/a');
    const bytes = randomBytes(2 * MIB);
    const append = new RunningCommand('httpfstream-append', ['-v', url]);
    append.child.stdin.write(bytes.subarray(0, MIB));
    await waitFor(() => server.content('/dir/a').length === MIB, 'the first bytes');
    const follow = new RunningCommand('httpfstream-follow', ['-v', url]);
    await waitFor(() => follow.stdoutBytes === MIB && server.followerPongs > 0, 'the history and a pong');
    const conflict = await run('httpfstream-append', [url], { input: 'x' });
    expect(conflict).toMatchObject({
      exit: 1,
      stderr: `failed to append from stdin to ${url}: HTTP status 403: addWriter: path already has an active writer\n`,
    });
    append.child.stdin.end(bytes.subarray(MIB));
    expect(await append.exit).toBe(0);
    expect(append.stderr).toBe(`appending from stdin to ${url}\nfinished appending from stdin to ${url}\n`);
    expect(await follow.exit).toBe(0);
    expect(follow.stdout.equals(bytes)).toBe(true);
    expect(follow.stderr).toBe(
      `following data at ${url} (ctrl-C to exit)\nfinished following (read ${bytes.length} bytes)\n`,
    );
    expect((await run('httpfstream-follow', [url])).bytes.equals(bytes)).toBe(true);
    expect((await run('httpfstream-follow', [server.url('/none')])).stderr).toBe(
      `failed to begin following ${server.url('/none')}: file does not exist\n`,
    );
  });
});
