import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { append, follow, openAppend } from '../../../src/client/index.ts';
import { ChaosProxy, NO_CHAOS } from '../../support/chaos/proxy.ts';
import { pattern } from '../../support/pattern.ts';
import { Random } from '../../support/random.ts';
import { startOrigin, startRelay } from '../../support/relay/origin.ts';
import { InProcessServer } from '../../support/server/restartable-server.ts';
import { SseReader } from '../../support/streams/sse-reader.ts';
import { waitFor, waitForSize } from '../../support/wait-for.ts';
import { V2Peer } from '../../support/websocket/v2-peer.ts';

/** Longer than anything takes but what hangs. */
const HANG_MS = 20_000;

const RETRY = { retry: { times: 1_000_000, minDelayMs: 1, maxDelayMs: 20 } };

async function bytesOf(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** A relay of an origin that may become unreachable, where `one ` was appended and more is to come. */
async function beginBehindNetwork() {
  const origin = await startOrigin();
  const network = await ChaosProxy.start(origin.port, new Random(1), NO_CHAOS);
  const relay = await InProcessServer.start({ upstreams: [network.url('')] });
  const appender = openAppend(origin.url('/f'));
  appender.write('one ');
  await waitForSize(path.join(origin.root, 'f'), 4);
  const cut = () => {
    network.refuse(true);
    network.resetAll();
  };
  return { network, relay, appender, cut };
}

test('what is followed by way of a relay goes on over restarts of the relay and of the origin', async () => {
  const origin = await InProcessServer.start();
  const first = await ChaosProxy.start(origin.port, new Random(1), NO_CHAOS);
  const relay = await InProcessServer.start({ upstreams: [first.url('')] });
  const second = await ChaosProxy.start(relay.port, new Random(2), NO_CHAOS);
  const appender = openAppend(first.url('/f'), RETRY);
  appender.write(pattern(0, 1000));
  await waitForSize(path.join(origin.root, 'f'), 1000);
  const follower = bytesOf(follow(second.url('/f'), RETRY));
  await waitForSize(path.join(relay.root, 'f'), 1000);
  await relay.restart();
  second.targetPort = relay.port;
  appender.write(pattern(1000, 1000));
  await waitForSize(path.join(relay.root, 'f'), 2000);
  await origin.restart();
  first.targetPort = origin.port;
  appender.write(pattern(2000, 1000));
  await waitForSize(path.join(relay.root, 'f'), 3000);
  first.resetAll();
  second.resetAll();
  appender.end(pattern(3000, 1000));
  expect((await follower).equals(pattern(0, 4000))).toBe(true);
  expect((await readFile(path.join(relay.root, 'f'))).equals(pattern(0, 4000))).toBe(true);
});

test('who follows is told that the appender is waited for while the origin is away', async () => {
  const { network, relay, appender, cut } = await beginBehindNetwork();
  const follower = await V2Peer.follow(relay.url('/f'));
  await follower.until(() => follower.text === 'one ', 'the beginning');
  cut();
  await follower.until(() => follower.story.at(-1) === 'waiting', 'the origin to be missed');
  network.refuse(false);
  await follower.until(() => follower.story.at(-1) === 'live', 'the origin to be back');
  appender.end('two');
  await follower.closed();
  expect([follower.text, follower.end?.reason]).toEqual(['one two', 'finished']);
});

test('a part that a relay has when it starts is not taken for the whole', async () => {
  const { network, relay, appender, cut } = await beginBehindNetwork();
  const follower = follow(relay.url('/f'), { retry: false });
  await once(follower, 'readable');
  follower.on('error', () => undefined).destroy();
  cut();
  await relay.restart();
  expect((await fetch(relay.url('/f'))).status).toBe(502);
  network.refuse(false);
  appender.end('two');
  await once(appender, 'close');
  await waitFor(async () => (await fetch(relay.url('/f'))).status === 200, 'the origin to be back');
  expect(await (await fetch(relay.url('/f'))).text()).toBe('one two');
});

test.each([
  ['longer', 'the other one, which is longer'],
  ['as long', 'the other 1'],
  ['shorter', 'short'],
])(
  'a file that another program has cut and written anew meanwhile, %s, takes the place of the copy',
  async (_how, text) => {
    const origin = await startOrigin();
    const relay = await InProcessServer.start({ upstreams: [origin.url('')] });
    await append(origin.url('/f'), ['the first 1']);
    const textAt = async (url: string) => (await fetch(url)).text();
    expect(await textAt(relay.url('/f'))).toBe('the first 1');
    await writeFile(path.join(origin.root, 'f'), text);
    // It was looked at a moment ago.
    await relay.restart();
    expect(await textAt(relay.url('/f'))).toBe(text);
    await append(origin.url('/f'), [' and more']);
    await relay.restart();
    expect(await textAt(relay.url('/f'))).toBe(`${text} and more`);
  },
);

test('who comes back to what was being fetched finds the same file, though nothing is fetched any more', async () => {
  const { relay } = await beginBehindNetwork();
  const follower = follow(relay.url('/f'), { retry: false });
  follower.on('error', () => undefined);
  const [{ generation }] = (await once(follower, 'open')) as [{ generation: number }];
  await waitFor(() => follower.readableLength === 4, 'the beginning');
  await relay.stop();
  const alone = new InProcessServer(relay.root);
  onTestFinished(() => alone.stop());
  await alone.start();
  const back = follow(alone.url('/f'), { from: 4, generation, retry: false });
  back.on('error', () => undefined);
  const [opening] = await once(back, 'open');
  expect(opening).toMatchObject({ generation, position: 4 });
  back.destroy();
});

test('a file that was made anew at the origin meanwhile takes the place of the copy', async () => {
  const origin = await startOrigin();
  const relay = await InProcessServer.start({ upstreams: [origin.url('')] });
  await append(origin.url('/f'), ['the first one']);
  expect(await (await fetch(relay.url('/f'))).text()).toBe('the first one');
  await relay.stop();
  await fetch(origin.url('/f'), { method: 'DELETE' });
  await append(origin.url('/f'), ['another one, which is longer']);
  await relay.start();
  expect(await (await fetch(relay.url('/f'))).text()).toBe('another one, which is longer');
});

test('events and long-polls come from the relay, as they would from the origin', async () => {
  const origin = await startOrigin();
  // For a busy machine half a second is no time.
  const relay = await startRelay(origin.url(''), { longPollMs: HANG_MS });
  const headers = { 'content-type': 'text/plain' };
  await fetch(origin.url('/s'), { method: 'PUT', headers, body: 'one' });
  const events = await SseReader.open(relay.url('/s'));
  await waitFor(() => events.events.some(({ data }) => data === 'one'), 'the first event');
  const { headers: head } = await fetch(relay.url('/s?offset=-1'));
  const offset = head.get('stream-next-offset');
  const poll = fetch(relay.url(`/s?offset=${offset}&live=long-poll`)).then((response) => response.text());
  await fetch(origin.url('/s'), { method: 'POST', headers, body: 'two' });
  expect(await poll).toBe('two');
  await waitFor(() => events.events.some(({ data }) => data === 'two'), 'the second event');
  await fetch(origin.url('/s'), { method: 'POST', headers: { ...headers, 'stream-closed': 'true' } });
  await waitFor(() => events.isEnded, 'the end of the events');
});

test('who reads live what has ended at the origin gets what another appends to it, without anybody asking', async () => {
  const origin = await startOrigin();
  const relay = await InProcessServer.start({ upstreams: [origin.url('')] });
  await append(origin.url('/f.txt'), ['one']);
  const events = await SseReader.open(relay.url('/f.txt'));
  await waitFor(() => events.events.some(({ data }) => data === 'one'), 'the first event');
  await append(origin.url('/f.txt'), ['two']);
  await waitFor(() => events.events.some(({ data }) => data === 'two'), 'the second event');
  await append(origin.url('/f.txt'), ['three']);
  await waitFor(() => events.events.some(({ data }) => data === 'three'), 'the third event');
});

test('a copy to which something was appended while there was no upstream is no copy any more', async () => {
  const origin = await startOrigin();
  const relay = await InProcessServer.start({ upstreams: [origin.url('')] });
  for (const name of ['/f', '/g']) {
    await append(origin.url(name), ['there']);
    expect(await (await fetch(relay.url(name))).text()).toBe('there');
  }
  await relay.stop();
  const alone = new InProcessServer(relay.root);
  await alone.start();
  await append(alone.url('/f'), [' and here']);
  const headers = { 'content-type': 'text/plain' };
  await fetch(alone.url('/g'), { method: 'POST', headers, body: ' and here' });
  await alone.stop();
  await relay.start();
  for (const name of ['/f', '/g']) {
    expect(await (await fetch(relay.url(name))).text()).toBe('there and here');
  }
});
