import http, { type IncomingMessage } from 'node:http';
import { expect, onTestFinished, test } from 'vitest';
import { OpenAnswer } from '../../../src/relay/upstream/open-answer.ts';
import { NEVER_MS } from '../../support/patience.ts';
import { headOf, ScriptedServer } from '../../support/relay/scripted.ts';

/** The answer of a server that has said so much, and says no more. */
async function answerOf(
  text: string,
  silenceMs: number,
  signal = new AbortController().signal,
): Promise<OpenAnswer> {
  const server = await ScriptedServer.start((_request, socket) => void socket.write(text));
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const request = http.get(server.url, { agent: false }, resolve).on('error', reject);
    onTestFinished(() => void request.destroy());
  });
  return new OpenAnswer(response, signal, silenceMs);
}

const taken: Buffer[] = [];
const take = (bytes: Buffer) => taken.push(bytes) > 0;

test('a short body can be looked at before it is read', async () => {
  const answer = await answerOf(`${headOf('200 OK', { 'Content-Length': 5 })}hello`, NEVER_MS);
  expect(await answer.peek(5)).toBe('hello');
  await answer.consume(take);
  expect(Buffer.concat(taken).toString()).toBe('hello');
});

test('one that is longer, or does not say how long it is, is not waited for', async () => {
  const long = await answerOf(headOf('200 OK', { 'Content-Length': 6 }), NEVER_MS);
  const endless = await answerOf(headOf('200 OK', { 'Transfer-Encoding': 'chunked' }), NEVER_MS);
  expect([await long.peek(5), await endless.peek(5)]).toEqual([undefined, undefined]);
});

test('one that stalls is given up after the silence that is allowed, looked at or read', async () => {
  const stalled = `${headOf('500 Trouble', { 'Content-Length': 5 })}hel`;
  const seen = await answerOf(stalled, 20);
  expect(['', 'hel']).toContain(await seen.peek(5));
  const read = await answerOf(stalled, 20);
  await expect(read.consume(take)).rejects.toMatchObject({ code: 'HFS_UPSTREAM_TIMEOUT' });
});

test('one that nobody wants any more as it comes is broken off, with the reason', async () => {
  const gone = AbortSignal.abort(new Error('nobody asks any more'));
  const answer = await answerOf(`${headOf('200 OK', { 'Content-Length': 5 })}hel`, NEVER_MS, gone);
  await expect(answer.consume(take)).rejects.toThrow('nobody asks any more');
  await expect(answer.consume(take)).rejects.toThrow('nobody asks any more');
});
