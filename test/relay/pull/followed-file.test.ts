import { describe, expect, test } from 'vitest';
import { Permit } from '../../../src/core/permit.ts';
import { parseUpstream } from '../../../src/relay/upstream/upstream-option.ts';
import type { ControlMessage } from '../../../src/wire/protocol.ts';
import { type BareRelay, F, NOBODY, startRelay } from '../../support/relay/bare-relay.ts';
import { waitFor } from '../../support/wait-for.ts';
import { FakeServer } from '../../support/websocket/fake-server.ts';
import { V2Peer } from '../../support/websocket/v2-peer.ts';

/** How a session ends: it gives up, or tells a status. */
const ENDS = [
  [1001, '', undefined],
  [1000, '{"status":3}', 3],
] as const;

/** Makes a stream at the origin. */
async function makeStream({ origin }: BareRelay): Promise<void> {
  const made = await fetch(origin.url('/f'), { method: 'PUT', headers: { 'content-type': 'text/plain' } });
  expect(made.status).toBe(201);
}

/** Appends to it through a session, and closes it after that. */
async function appendAndClose({ origin }: BareRelay, code: number, reason: string): Promise<void> {
  const appender = await V2Peer.append(origin.url('/f'));
  await appender.append('text', 4);
  appender.websocket.close(code, reason);
  await appender.closed();
  const closed = await fetch(origin.url('/f'), { method: 'POST', headers: { 'stream-closed': 'true' } });
  expect(closed.status).toBe(204);
}

/** What is here, and how it has ended. */
async function copyOf({ core }: BareRelay) {
  const file = await core.resources.open(Permit.own(F));
  try {
    const { state } = await core.resources.view(file);
    return { closed: state.closed, ended: await core.sessions.history.outcome(file, state) };
  } finally {
    await file.close();
  }
}

/** Has it looked at whether what is here still holds, be it found out a moment ago. */
function lookAgain({ relay }: BareRelay) {
  relay.changed(F);
  return relay.ready(F, NOBODY);
}

describe('a stream that is closed after a session', () => {
  test.each(ENDS)('that ended with %i %s: what was followed still holds', async (code, reason, status) => {
    const server = await startRelay();
    await makeStream(server);
    expect(await server.relay.ready(F, NOBODY)).toMatchObject({ way: 'coming' });
    await appendAndClose(server, code, reason);
    await waitFor(() => !server.relay.isFetching(F), 'the end');
    const ended = { closed: true, ended: { reason: 'finished', closed: true, status } };
    expect(await copyOf(server)).toEqual(ended);
    expect(await lookAgain(server)).toEqual({ way: 'stored', cacheStatus: 'fwd=stale; fwd-status=304' });
  });

  test.each(ENDS)(
    'that ended with %i %s is closed here, too, when it is fetched then',
    async (code, reason, status) => {
      const server = await startRelay();
      await makeStream(server);
      await appendAndClose(server, code, reason);
      expect(await server.relay.ready(F, NOBODY)).toMatchObject({ way: 'stored' });
      const ended = { closed: true, ended: { reason: 'finished', closed: true, status } };
      expect(await copyOf(server)).toEqual(ended);
    },
  );
});

describe('what is closed here', () => {
  const end = { type: 'end', position: 4 } as const;

  /** A relay of a server that tells this when it is followed, with what was there the first time: a closed stream. */
  async function startClosed(again: ControlMessage): Promise<BareRelay> {
    const open = { type: 'open', generation: 7, contentType: 'text/plain', stream: true } as const;
    const fake = await FakeServer.start((connection) => {
      const from = Number(connection.query.get('from') ?? 0);
      const isFirst = !connection.query.has('generation');
      connection.tell({ ...open, position: from, size: 4, live: false });
      connection.send('text');
      connection.tell(isFirst ? { ...end, reason: 'finished', closed: true } : again);
      connection.websocket.close(1000);
    });
    const server = await startRelay({ upstreams: [parseUpstream(new URL(fake.url).origin)] });
    expect(await server.relay.ready(F, NOBODY)).toMatchObject({ way: 'stored' });
    expect(await copyOf(server)).toMatchObject({ closed: true });
    return server;
  }

  test('holds though an older server tells how the session before has ended', async () => {
    const server = await startClosed({ ...end, reason: 'interrupted' });
    expect(await lookAgain(server)).toEqual({ way: 'stored', cacheStatus: 'fwd=stale; fwd-status=304' });
    expect(await copyOf(server)).toMatchObject({ closed: true });
  });

  test('is fetched anew when it is not closed there: nothing can be appended to it', async () => {
    const server = await startClosed({ ...end, reason: 'finished' });
    expect(await lookAgain(server)).toEqual({
      way: 'stored',
      cacheStatus: 'fwd=uri-miss; fwd-status=200; stored',
    });
  });
});
