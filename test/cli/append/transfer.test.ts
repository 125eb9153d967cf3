import { PassThrough } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { runAppend } from '../../../src/cli/append/run-append.ts';
import { Transfer } from '../../../src/cli/append/transfer.ts';
import { ClientLog } from '../../../src/cli/client-log.ts';
import { NEVER_MS } from '../../support/patience.ts';
import { CommandHere } from '../../support/programs/command.ts';
import { waitFor } from '../../support/wait-for.ts';
import { type FakeConnection, FakeServer } from '../../support/websocket/fake-server.ts';

const open = (connection: FakeConnection) =>
  connection.tell({ type: 'open', generation: 1, position: 0, live: true });

/** Starts a server that takes appends; once it is away it refuses to go on with them. */
async function startFragileServer() {
  let isAway = false;
  const server = await FakeServer.start(open, () => (isAway ? '503' : undefined));
  const goAway = () => {
    isAway = true;
    server.connection(0).cut();
  };
  const comeBack = () => {
    isAway = false;
  };
  return { server, goAway, comeBack };
}

/** Starts to append `some text`, and resolves when the server has it. */
async function startTransfer(server: FakeServer, lastWaitMs: number) {
  const stderr = new PassThrough();
  const source = new PassThrough();
  const transfer = new Transfer(source, server.url, {
    headers: {},
    expect: undefined,
    contentType: () => undefined,
    stallTimeoutMs: NEVER_MS,
    tee: undefined,
    progress: undefined,
    hintAtResumeFor: undefined,
    wantedType: undefined,
    log: new ClientLog(stderr, false),
    lastWaitMs,
  });
  source.write('some text');
  await waitFor(() => server.connections[0]?.byteCount === 9, 'the text to arrive');
  return { transfer, logged: () => String(stderr.read(stderr.readableLength) ?? '') };
}

const LOST = 'the server is away, and 9 bytes are not acknowledged';

describe('an append that is to end', () => {
  test('fails when the server is away and does not come back in time, and says what is missing', async () => {
    const { server, goAway } = await startFragileServer();
    const { transfer, logged } = await startTransfer(server, 5);
    goAway();
    await waitFor(() => server.queries.length > 1, 'the first attempt to go on');
    transfer.end();
    await expect(transfer.done()).rejects.toThrow(LOST);
    expect(logged()).toBe(
      'not connected: the server has 0.005 s to be there again; a second signal does not wait\n',
    );
  });

  test('fails when the server goes away only then', async () => {
    const { server, goAway } = await startFragileServer();
    const { transfer, logged } = await startTransfer(server, 5);
    transfer.end();
    goAway();
    await expect(transfer.done()).rejects.toThrow(LOST);
    expect(logged()).toBe('');
  });

  test('ends well when the server is there again in time', async () => {
    const { server, goAway, comeBack } = await startFragileServer();
    const { transfer } = await startTransfer(server, NEVER_MS);
    goAway();
    await waitFor(() => server.queries.length > 1, 'the first attempt to go on');
    transfer.end();
    comeBack();
    await waitFor(() => server.connections[1]?.byteCount === 9, 'the text to arrive once more');
    server.connection(1).tell({ type: 'ack', position: 9 });
    await transfer.done();
  });
});

test.each([
  { source: 'standard input', commandLine: [] },
  { source: 'a command', commandLine: ['--', 'sh', '-c', 'printf "some text"; exec sleep 600'] },
])(
  'the first SIGTERM tells that the server is away, the second one does not wait, of $source',
  async ({ commandLine }) => {
    const { server, goAway } = await startFragileServer();
    const command = new CommandHere(runAppend, [server.url, ...commandLine]);
    if (commandLine.length === 0) command.stdin.write('some text');
    await waitFor(() => server.connections[0]?.byteCount === 9, 'the text to arrive');
    goAway();
    await waitFor(() => server.queries.length > 1, 'the first attempt to go on');
    command.signal('SIGTERM');
    await waitFor(() => command.stderr.startsWith('not connected: the server has 10 s'), 'the word of it');
    command.signal('SIGTERM');
    expect(await command.exit).toBe(143);
  },
);
