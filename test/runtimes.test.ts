import { spawnSync } from 'node:child_process';
import type { Socket } from 'node:net';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { startSource } from './support/http/source.ts';
import { runSuccessfully } from './support/programs/program.ts';
import { startServer } from './support/server/server.ts';

const CLIENT = path.join(import.meta.dirname, '../dist/lib/client.js');
const SCRIPT = path.join(import.meta.dirname, 'support/programs/runtime-client.mjs');

/** With what a runtime runs a script. `npm run test:runtimes` brings those that this machine does not have. */
const RUNTIMES = [
  { name: 'node', args: [] },
  { name: 'bun', args: [] },
  { name: 'deno', args: ['run', '--allow-all'] },
].filter(({ name }) => spawnSync(name, ['--version']).status === 0);

describe.each(RUNTIMES)('the client on $name', ({ name, args }) => {
  test('appends, follows, goes on when it is cut, and says what went wrong', async () => {
    const server = await startServer();
    const sockets: Socket[] = [];
    server.app.server.on('connection', (socket) => sockets.push(socket));
    const cut = await startSource((_, response) => {
      for (const socket of sockets) socket.destroy();
      response.end();
    });
    const headers = { 'content-type': 'text/plain', 'stream-closed': 'true' };
    await fetch(server.url('/closed'), { method: 'PUT', headers });
    const output = await runSuccessfully(name, [...args, SCRIPT, CLIENT, server.url('/'), cut]);
    expect(JSON.parse(output)).toEqual({
      whole: [10, 8, 14, 40],
      text: 'a string, a blob, a web stream, an array',
      end: 'array',
      live: { bytes: 3_000_000, isWhole: true },
      missing: 'HFS_RESOURCE_NOT_FOUND',
      reserved: 'HFS_FORBIDDEN_PATH',
      closed: 'HFS_STREAM_CLOSED',
      wrong: 'HFS_INVALID_SOURCE',
      unreachable: 'HFS_CONNECTION',
      aborted: 'enough',
    });
  });
});
