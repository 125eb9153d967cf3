import { once } from 'node:events';
import http from 'node:http';
import type { Socket } from 'node:net';
import { expect, test } from 'vitest';
import { type Answer, answerOf } from '../../support/http/request.ts';
import { headOf, ScriptedServer, say } from '../../support/relay/scripted.ts';
import { startServer } from '../../support/server/server.ts';
import { waitFor } from '../../support/wait-for.ts';

const PROBLEM = { 'Content-Type': 'application/problem+json' };

/** A relay of an httpfstream server that says nothing of its own accord to what is passed on. */
async function startPair(closeTimeoutMs: number) {
  /** By path. */
  const asked = new Map<string, Socket>();
  const origin = await ScriptedServer.start(({ line, headers }, socket) => {
    const path = line.split(' ')[1] as string;
    if (headers['x-verb'] !== 'FOLLOW' || path.includes('?')) asked.set(path, socket);
    else say(socket, '404 Not Found', PROBLEM, '{"code":"HFS_RESOURCE_NOT_FOUND"}');
  });
  const relay = await startServer({
    upstreams: [{ url: origin.url, passAuthorization: true }],
    closeTimeoutMs,
  });
  /** Asks for something, and waits until that has arrived. */
  const ask = async (
    path: string,
    {
      method = 'GET',
      headers = {},
      body,
      isWhole = true,
    }: { method?: string; headers?: http.OutgoingHttpHeaders; body?: string; isWhole?: boolean },
  ): Promise<{ request: http.ClientRequest; there: Socket; answer: Promise<Answer> }> => {
    const request = http.request(relay.url(path), { agent: false, method, headers });
    const answer = answerOf(request);
    if (body !== undefined) request.write(body);
    if (isWhole) request.end();
    answer.catch(() => undefined);
    await waitFor(() => asked.has(path), path);
    return { request, there: asked.get(path) as Socket, answer };
  };
  return { relay, ask };
}

test('what is passed on has time to come to its end when the relay closes, if it has one', async () => {
  const { relay, ask } = await startPair(60_000);
  const range = { range: 'bytes=0-' };
  const download = await ask('/download', { headers: range });
  download.there.write(`${headOf('200 OK', { 'Content-Length': 10 })}01234`);
  const slow = await ask('/slow', { headers: range });
  const write = await ask('/write', {
    method: 'POST',
    headers: { 'content-type': 'text/plain', 'content-length': 1 },
    body: 'x',
  });
  const append = await ask('/append', {
    method: 'POST',
    headers: { 'x-verb': 'APPEND' },
    body: 'x',
    isWhole: false,
  });
  const waiting = await ask('/waits?verb=FOLLOW&wait=60', { headers: { authorization: 'x' } });
  const closed = relay.app.close();
  for (const { answer } of [append, waiting]) {
    expect(await answer).toMatchObject({ status: 503, code: 'HFS_SERVER_CLOSING' });
  }
  download.there.write('56789');
  say(slow.there, '200 OK', {}, 'slow');
  say(write.there, '204 No Content', { 'X-Content-Type-Options': 'nosniff' }, '');
  expect(await download.answer).toMatchObject({ status: 200, text: '0123456789' });
  expect((await slow.answer).text).toBe('slow');
  expect((await write.answer).status).toBe(204);
  await closed;
});

test('it is cut when it takes longer, and at once if it has no end', async () => {
  const { relay, ask } = await startPair(50);
  const write = await ask('/write', { method: 'DELETE' });
  const download = await ask('/download', { headers: { range: 'bytes=0-' } });
  download.there.write(`${headOf('200 OK', { 'Content-Length': 10 })}01234`);
  await once(download.request, 'response');
  await relay.app.close();
  expect(await write.answer).toMatchObject({ status: 503, code: 'HFS_SERVER_CLOSING' });
  await expect(download.answer).rejects.toThrow(/aborted|ECONNRESET/);
  const lasting = await startPair(60_000);
  const events = await lasting.ask('/e?live=sse', { headers: { authorization: 'x' } });
  events.there.write(`${headOf('200 OK', { 'Content-Type': 'text/event-stream' })}:\n`);
  await once(events.request, 'response');
  await lasting.relay.app.close();
  await expect(events.answer).rejects.toThrow(/aborted|ECONNRESET/);
});
