import path from 'node:path';
import { expect, test } from 'vitest';
import { ChaosProxy, NO_CHAOS } from '../../support/chaos/proxy.ts';
import { Random } from '../../support/random.ts';
import { startOrigin, startRelay } from '../../support/relay/origin.ts';
import { waitFor, waitForSize } from '../../support/wait-for.ts';

const TEXT = { 'content-type': 'text/plain' };

/** In which ways a stream is read from an offset. */
const WAYS = ['', '&live=long-poll', '&live=sse'];

async function nextOffset(response: Promise<Response>): Promise<string | null> {
  return (await response).headers.get('stream-next-offset');
}

/** The status of an answer, of which no more is read. */
async function statusOf(url: string, headers: Record<string, string> = {}): Promise<number> {
  const aborter = new AbortController();
  const { status } = await fetch(url, { headers, signal: aborter.signal });
  aborter.abort();
  return status;
}

test('an offset that is not here yet is judged by the origin', async () => {
  const origin = await startOrigin({ longPollMs: 100 });
  const link = await ChaosProxy.start(origin.port, new Random(1), NO_CHAOS);
  const relay = await startRelay(link.url(''), { longPollMs: 100 });
  await fetch(origin.url('/s'), { method: 'PUT', headers: TEXT, body: 'one' });
  await (await fetch(relay.url('/s'))).text();
  await waitForSize(path.join(relay.root, 's'), 3);
  link.refuse(true);
  link.resetAll();
  const post = { method: 'POST', headers: TEXT, body: 'two' };
  const offset = (await nextOffset(fetch(origin.url('/s'), post))) as string;
  for (const way of WAYS) {
    expect([way, await statusOf(relay.url(`/s?offset=${offset}${way}`))]).toEqual([way, 502]);
  }
  expect(await statusOf(relay.url('/s?offset=-1&live=sse'), { 'last-event-id': offset })).toBe(502);
  link.refuse(false);
  for (const way of WAYS) {
    const read = async () => (await statusOf(relay.url(`/s?offset=${offset}${way}`))) !== 502;
    await waitFor(read, 'the link to be there again');
    expect(await statusOf(relay.url(`/s?offset=${offset}${way}`))).toBeOneOf([200, 204]);
  }
  const beyond = offset.replace(/_.*/, `_${'9'.repeat(15).padStart(16, '0')}`);
  expect(await statusOf(relay.url(`/s?offset=${beyond}`))).toBe(410);
});

test('what a fork has copied has the offsets here that it has at the origin', async () => {
  const origin = await startOrigin();
  const relay = await startRelay(origin.url(''));
  await fetch(origin.url('/source'), { method: 'PUT', headers: TEXT, body: 'one' });
  const offset = (await nextOffset(fetch(origin.url('/source')))) as string;
  await fetch(origin.url('/fork'), {
    method: 'PUT',
    headers: { ...TEXT, 'stream-forked-from': '/source' },
    body: 'two',
  });
  const read = async (url: string) => (await fetch(`${url}?offset=${offset}`)).text();
  expect(await read(origin.url('/fork'))).toBe('two');
  expect(await read(relay.url('/fork'))).toBe('two');
});
