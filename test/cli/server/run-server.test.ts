import { existsSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { runServer } from '../../../src/cli/server/run-server.ts';
import { CommandHere, runHere } from '../../support/programs/command.ts';
import { temporaryDirectory } from '../../support/server/server.ts';
import { waitFor } from '../../support/wait-for.ts';

/** Runs the server in this process until the test is over; `said` is what it has written. */
async function start(isTTY: boolean, ...argv: string[]) {
  const command = new CommandHere(runServer, ['-root', await temporaryDirectory(), ...argv], { isTTY });
  const said = () => command.stdout.toString();
  await waitFor(() => said().includes('ready'), 'the server to be ready');
  return { said, port: () => Number(/:(\d+)/.exec(said().slice(said().indexOf('listening')))?.[1]) };
}

const canConnect = (host: string, port: number) =>
  new Promise<boolean>((resolve) => {
    const socket = connect(port, host);
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    onTestFinished(() => void socket.destroy());
  });

const OTHER_ADDRESSES = Object.values(networkInterfaces())
  .flatMap((addresses) => addresses ?? [])
  .filter(({ internal, family }) => !internal && family === 'IPv4')
  .map(({ address }) => address);

describe('on localhost', () => {
  test('nobody but this machine reaches it', async () => {
    const { port, said } = await start(false, '-http', 'localhost:0');
    expect(await canConnect('127.0.0.1', port())).toBe(true);
    for (const address of OTHER_ADDRESSES) expect(await canConnect(address, port())).toBe(false);
    expect(said()).not.toContain('no rights');
  });

  test('a terminal is told where it is, and what to try next', async () => {
    const { port, said } = await start(true, '-http', 'localhost:0');
    const url = `http://localhost:${port()}/`;
    await waitFor(() => said().includes('FOLLOW'), 'the commands to try');
    expect(said()).toContain(`\n  ${url}\n`);
    expect(said()).toMatch(new RegExp(`curl -T - '${url}\\S+\\?verb=APPEND'`));
    expect(said()).toMatch(new RegExp(`curl -N '${url}\\S+\\?verb=FOLLOW`));
  });

  test('a log is one of JSON, and says where it is', async () => {
    const { port, said } = await start(false, '-http', 'localhost:0');
    const lines = said()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines.at(-1)).toMatchObject({ msg: 'ready', url: `http://localhost:${port()}/` });
  });

  test('a log names the upstreams, and not their passwords', async () => {
    const upstreams = 'http://user:secret@127.0.0.1:1/x,/b=http://127.0.0.1:2';
    const { said } = await start(false, '-http', 'localhost:0', '-upstream', upstreams);
    expect(said()).toContain('"upstreams":["http://127.0.0.1:1/x","/b=http://127.0.0.1:2/"]');
    expect(said()).not.toContain('secret');
  });
});

test.each([':0', '[::]:0', '0.0.0.0:0'])(
  'on all interfaces (%s) it says that there are no rights',
  async (http) => {
    const { said } = await start(false, '-http', http);
    await waitFor(() => said().includes('there are no rights'), 'the warning');
    expect(said().match(/there are no rights/g)).toHaveLength(1);
  },
);

test.each([
  [':0', 1],
  ['localhost:0', 0],
])('with -admin %s it is told %i times that whoever reaches that sees everything', async (admin, count) => {
  const { said } = await start(false, '-http', 'localhost:0', '-admin', admin);
  await waitFor(() => said().includes('ready'), 'the server to be ready');
  // Which is said after that.
  await waitFor(() => (said().match(/-admin/g)?.length ?? 0) >= count, 'the warning');
  expect(said().match(/whoever reaches the address of -admin/g) ?? []).toHaveLength(count);
  expect(said()).not.toContain('there are no rights');
});

test('a port that is taken is told, and how to take another', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => other.once('listening', resolve));
  onTestFinished(() => void other.close());
  const { port } = other.address() as AddressInfo;
  const root = path.join(await temporaryDirectory(), 'new', 'root');
  expect(await runHere(runServer, ['-root', root, '-http', `localhost:${port}`])).toMatchObject({
    exit: 1,
    stderr: `httpfstream-server: cannot listen on localhost:${port}: the port is in use: stop what listens there, or choose another one (-http)\n`,
  });
  // Nothing is made for a server that never was.
  expect(existsSync(path.dirname(root))).toBe(false);
});
