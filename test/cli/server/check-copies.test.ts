import { truncate } from 'node:fs/promises';
import http from 'node:http';
import path from 'node:path';
import { expect, test } from 'vitest';
import { runServer } from '../../../src/cli/server/run-server.ts';
import { append } from '../../../src/client/index.ts';
import { runHere } from '../../support/programs/command.ts';
import { startOrigin } from '../../support/relay/origin.ts';
import { headOf, ScriptedServer } from '../../support/relay/scripted.ts';
import { InProcessServer } from '../../support/server/restartable-server.ts';
import { waitForSize } from '../../support/wait-for.ts';

async function check(root: string): Promise<{ exit: number; lines: string[] }> {
  const { exit, stdout } = await runHere(runServer, ['--check', '-root', root]);
  return { exit, lines: stdout.trimEnd().split('\n') };
}

test('--check tells how many files are copies, and how many of these a part; what they have lost is fetched again', async () => {
  const origin = await startOrigin();
  const other = await ScriptedServer.start((_request, socket) => {
    socket.write(`${headOf('200 OK', { ETag: '"a"', 'Content-Length': 1000 })}${'x'.repeat(600)}`);
  });
  const relay = await InProcessServer.start({ upstreams: [`/o=${origin.url('')}`, `/p=${other.url}`] });
  const headers = { 'content-type': 'text/plain', 'stream-closed': 'true' };
  await fetch(origin.url('/s'), { method: 'PUT', headers, body: 'a closed stream' });
  await append(origin.url('/f'), ['a file'], { status: () => 3 });
  await append(relay.url('/own'), ['its own']);
  const text = async (name: string) => (await fetch(relay.url(name))).text();
  expect([await text('/o/s'), await text('/o/f')]).toEqual(['a closed stream', 'a file']);
  const request = http.get(relay.url('/p/part'), { agent: false }).on('error', () => undefined);
  await waitForSize(path.join(relay.root, 'p/part'), 600);
  request.destroy();
  await relay.stop();

  const of = '4 files looked at, of 4 of them something is remembered, copies among them: 3';
  expect(await check(relay.root)).toEqual({ exit: 0, lines: [`${of}, only in part: 1: all is well`] });
  await truncate(path.join(relay.root, 'o/s'), 8);
  await truncate(path.join(relay.root, 'o/f'), 2);
  const { exit, lines } = await check(relay.root);
  expect([exit, lines.slice(0, -1).sort(), lines.at(-1)]).toEqual([
    0,
    [
      'o/f: 4 bytes are missing at its end; it is a copy, and the rest is fetched when it is asked for',
      'o/s: 7 bytes are missing at its end; it is a copy, and the rest is fetched when it is asked for',
    ],
    `${of}, only in part: 3: 2 findings put right, 0 that are not, or not without a loss`,
  ]);
  await relay.start();
  expect([await text('/o/s'), await text('/o/f')]).toEqual(['a closed stream', 'a file']);
  const closed = await fetch(relay.url('/o/s'), { method: 'HEAD' });
  expect(closed.headers.get('stream-closed')).toBe('true');
  expect((await fetch(relay.url('/o/f'))).headers.get('stream-status')).toBe('3');
});
