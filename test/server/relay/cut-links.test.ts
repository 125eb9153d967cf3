import { once } from 'node:events';
import { access, truncate } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { type FollowStream, follow, openAppend } from '../../../src/client/index.ts';
import { ChaosProxy, NO_CHAOS } from '../../support/chaos/proxy.ts';
import { Random } from '../../support/random.ts';
import { startOrigin, startRelay } from '../../support/relay/origin.ts';
import { InProcessServer } from '../../support/server/restartable-server.ts';
import { waitFor, waitForSize } from '../../support/wait-for.ts';
import { FakeServer } from '../../support/websocket/fake-server.ts';

const RETRY = { times: 1_000_000, minDelayMs: 1, maxDelayMs: 50 };

const PART = 'one ';

/** A file that is followed behind two relays, and the links before the servers from which they have it, which can be cut. */
async function startFollowed() {
  const origin = await startOrigin({ graceMs: 60_000 });
  const link = await ChaosProxy.start(origin.port, new Random(1), NO_CHAOS);
  const first = await startRelay(link.url(''));
  const between = await ChaosProxy.start(first.port, new Random(2), NO_CHAOS);
  const last = await startRelay(between.url(''));
  const appender = openAppend(origin.url('/f'), { retry: RETRY }).on('error', () => undefined);
  appender.write(PART);
  const file = path.join(origin.root, 'f');
  await waitForSize(file, PART.length);
  const follower = follow(last.url('/f'), { retry: RETRY });
  const ended = endOf(follower);
  await waitForSize(path.join(last.root, 'f'), PART.length);
  return { origin, first, last, link, between, appender, file, ended };
}

function cut(link: ChaosProxy): void {
  link.refuse(true);
  link.resetAll();
}

/** What came, and the code of the error with which it has ended. */
async function endOf(follower: FollowStream): Promise<[text: string, code: string | undefined]> {
  let text = '';
  try {
    for await (const chunk of follower) text += String(chunk);
    return [text, undefined];
  } catch (error) {
    return [text, (error as { code?: string }).code];
  }
}

describe('while the link to the origin is cut', () => {
  test('who follows from where the origin is and the relay is not yet comes back', async () => {
    const { origin, first, last, link, appender, ended } = await startFollowed();
    cut(link);
    appender.write('two ');
    await waitForSize(path.join(origin.root, 'f'), 8);
    for (const relay of [first, last]) {
      expect((await fetch(relay.url('/f?verb=FOLLOW&from=8'))).status).toBeOneOf([502, 503]);
    }
    link.refuse(false);
    const from = async () => (await fetch(last.url('/f?verb=FOLLOW&from=8'))).status === 200;
    await waitFor(from, 'the link to be there again');
    const follower = follow(last.url('/f'), { from: 8, retry: RETRY });
    await once(follower, 'open');
    appender.end('three');
    expect(await endOf(follower)).toEqual(['three', undefined]);
    expect(await ended).toEqual(['one two three', undefined]);
    // There is no more at the origin.
    expect((await fetch(last.url('/f?verb=FOLLOW&from=99'))).status).toBe(416);
  });

  test('who follows from where the origin is and what has ended here is not comes back', async () => {
    const { origin, last, link, appender, ended } = await startFollowed();
    appender.end();
    await ended;
    cut(link);
    const another = openAppend(origin.url('/f'));
    another.end('two ');
    await once(another, 'close');
    expect((await fetch(last.url('/f?verb=FOLLOW&from=8'))).status).toBeOneOf([502, 503]);
    link.refuse(false);
    const from = async () => (await fetch(last.url('/f?verb=FOLLOW&from=8'))).status === 200;
    await waitFor(from, 'the link to be there again');
  });
});

test('what was missed while the link was cut is still coming for who downloads it then', async () => {
  const fake = await FakeServer.start((connection, number) => {
    const about = { generation: 7, live: true };
    if (number > 0) connection.tell({ type: 'open', ...about, position: 4, size: 8 });
    else connection.tell({ type: 'open', ...about, position: 0, size: 4 });
    if (number === 0) connection.send('one ');
  });
  const relay = await startRelay(new URL(fake.url).origin);
  const ended = endOf(follow(relay.url('/a')));
  await waitForSize(path.join(relay.root, 'a'), 4);
  fake.connection(0).cut();
  // As long as nothing can come it is passed on, and has no length there.
  const download = async () => {
    const response = await fetch(relay.url('/a'));
    const length = Number(response.headers.get('content-length'));
    return length === 0 ? undefined : { length, text: response.text() };
  };
  let found: Awaited<ReturnType<typeof download>>;
  await waitFor(async () => {
    found = await download();
    return found !== undefined;
  }, 'the link to be there again');
  fake.connection(1).send('two ');
  expect([found?.length, await found?.text]).toEqual([8, 'one two ']);
  fake.connection(1).tell({ type: 'end', position: 8, reason: 'finished' });
  fake.connection(1).websocket.close(1000);
  expect(await ended).toEqual(['one two ', undefined]);
});

describe('what happens at the origin while a link is cut is told afterwards', () => {
  test.each(['link', 'between'] as const)('deleted: %s', async (which) => {
    const { origin, first, ended, ...links } = await startFollowed();
    cut(links[which]);
    await fetch(origin.url('/f'), { method: 'DELETE' });
    if (which === 'between') await waitFor(() => isGone(first), 'the first relay to know');
    links[which].refuse(false);
    expect(await ended).toEqual([PART, 'HFS_RESOURCE_GONE']);
  });

  test.each(['link', 'between'] as const)('truncated: %s', async (which) => {
    const { file, first, ended, ...links } = await startFollowed();
    cut(links[which]);
    await truncate(file, 2);
    if (which === 'between') await waitFor(() => isGone(first), 'the first relay to know');
    links[which].refuse(false);
    expect(await ended).toEqual([PART, 'HFS_STREAM_TRUNCATED']);
  });
});

test.each(['first', 'last'] as const)(
  'what is truncated while a relay restarts is truncated: %s',
  async (which) => {
    const origin = await startOrigin({ graceMs: 60_000 });
    const first = await InProcessServer.start({ upstreams: [origin.url('')] });
    const between = await ChaosProxy.start(first.port, new Random(1), NO_CHAOS);
    const last = await InProcessServer.start({ upstreams: [between.url('')] });
    const front = await ChaosProxy.start(last.port, new Random(2), NO_CHAOS);
    const appender = openAppend(origin.url('/f')).on('error', () => undefined);
    appender.write(PART);
    const ended = once(appender, 'open').then(() =>
      endOf(follow(front.url('/f'), { wait: 20, retry: RETRY })),
    );
    await waitForSize(path.join(last.root, 'f'), PART.length);
    const relay = { first, last }[which];
    await relay.stop();
    await truncate(path.join(origin.root, 'f'), 2);
    await relay.start();
    between.targetPort = first.port;
    front.targetPort = last.port;
    expect(await ended).toEqual([PART, 'HFS_STREAM_TRUNCATED']);
  },
);

async function isGone(relay: { root: string }): Promise<boolean> {
  return access(path.join(relay.root, 'f')).then(
    () => false,
    () => true,
  );
}
