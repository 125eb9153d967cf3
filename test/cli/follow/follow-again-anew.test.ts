import { rm, stat, truncate, writeFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { runAppend } from '../../../src/cli/append/run-append.ts';
import { CommandHere } from '../../support/programs/command.ts';
import { serverForAll } from '../../support/server/server-for-all.ts';
import { waitForSize } from '../../support/wait-for.ts';
import { append, followAgain } from './following-again.ts';

const servers = serverForAll();

describe('httpfstream-follow -F', () => {
  test.each(['live', 'idle'])('begins anew with a file that is cut while it is %s', async (state) => {
    const server = await servers.guest();
    const url = server.url('/a');
    const appender = new CommandHere(runAppend, [url]);
    appender.stdin.write('long text');
    await waitForSize(`${server.root}/a`, 9);
    const { command, shows, says } = followAgain(server);
    await shows('long text');
    if (state === 'idle') {
      appender.stdin.end();
      await appender.exit;
    }
    await truncate(`${server.root}/a`, 4);
    await says(`httpfstream-follow: ${url}: file truncated\n`);
    await shows('long textlong');
    expect(command.stderr.match(/truncated/g)).toHaveLength(1);
  });

  test.each(['live', 'idle'])('begins anew with a file that is made anew while it is %s', async (state) => {
    const server = await servers.guest();
    const url = server.url('/a');
    const appender = new CommandHere(runAppend, [url]);
    appender.stdin.write('old ');
    await waitForSize(`${server.root}/a`, 4);
    const { command, shows, says } = followAgain(server);
    await shows('old ');
    if (state === 'idle') {
      appender.stdin.end();
      await appender.exit;
    }
    await rm(`${server.root}/a`);
    await says(`httpfstream-follow: ${url} has become inaccessible: file does not exist\n`);
    await writeFile(`${server.root}/a`, 'brand new');
    await shows('old brand new');
    expect(command.stderr).toContain(`httpfstream-follow: ${url} has appeared; following the new file\n`);
    expect(command.stderr.match(/\n/g)).toHaveLength(2);
  });

  test('notices a file that was made anew between two looks, although it is longer', async () => {
    const server = await servers.guest();
    const url = server.url('/a');
    await writeFile(`${server.root}/a`, 'old ');
    const { shows, says } = followAgain(server);
    await shows('old ');
    await rm(`${server.root}/a`);
    await append(server, 'new and longer');
    await shows('old new and longer');
    await says('following the new file\n');
    expect((await stat(`${server.root}/a`)).size).toBe(14);
    expect(url).toContain('/a');
  });
});
