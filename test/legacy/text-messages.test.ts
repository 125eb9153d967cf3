import { isUtf8 } from 'node:buffer';
import { once } from 'node:events';
import { request } from 'node:http';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import WebSocket from 'ws';
import { openAppend } from '../../src/client/index.ts';
import { OriginalAppender, OriginalFollower } from '../support/original/clients.ts';
import { Op, originalMessage } from '../support/original/frames.ts';
import { startRelay } from '../support/relay/origin.ts';
import { startServer } from '../support/server/server.ts';
import { waitFor, waitForSize } from '../support/wait-for.ts';

/** A client that takes text at its word, as browsers and `wscat` do, and closes when it is none. */
async function textClient(url: string) {
  const websocket = new WebSocket(`${url.replace('http', 'ws')}?verb=FOLLOW`);
  onTestFinished(() => websocket.terminate());
  const messages: Buffer[] = [];
  let error: Error | undefined;
  websocket.on('message', (message: Buffer) => messages.push(message));
  websocket.on('error', (reason) => {
    error = reason;
  });
  const closed = once(websocket, 'close').then(([code]) => code as number);
  await once(websocket, 'open');
  return {
    messages,
    get text() {
      return Buffer.concat(messages).toString();
    },
    outcome: async () => ({ code: await closed, error }),
  };
}

describe('text for clients that check it', () => {
  test('is cut between characters, in the history and live, over merged and split appends', async () => {
    const server = await startServer();
    const text = 'aä€😀\n'.repeat(20_000);
    const bytes = Buffer.from(text);
    // In the middle of a character.
    const half = bytes.indexOf('😀', bytes.length / 2) + 2;
    const writable = openAppend(server.url('/u.log'));
    writable.write(bytes.subarray(0, half));
    await waitFor(() => writable.acknowledgedBytes === half, 'the history');
    const client = await textClient(server.url('/u.log'));
    await waitFor(() => Buffer.byteLength(client.text) === half - 2, 'the whole characters of the history');
    for (let at = half; at < half + 40; at++) {
      await new Promise((resolve) => writable.write(bytes.subarray(at, at + 1), resolve));
      await waitFor(() => writable.acknowledgedBytes === at + 1, 'a byte');
    }
    writable.end(bytes.subarray(half + 40));
    expect(await client.outcome()).toEqual({ code: 1000, error: undefined });
    expect(client.text).toBe(text);
    expect(client.messages.every(isUtf8)).toBe(true);
  });
});

/** What a reader of lines gets whose buffer has 4,096 bytes: what of a message has no room in it is lost. */
function linesOf(messages: readonly Buffer[]): string[] {
  const lines: string[] = [];
  let begun = '';
  for (const message of messages) {
    const parts = (begun + message.subarray(0, 4096 - begun.length)).split('\n');
    begun = parts.pop() as string;
    lines.push(...parts);
  }
  return lines;
}

describe('small appends', () => {
  test('are merged to 1,024 bytes at most, so that who reads through a small buffer has room for them', async () => {
    const server = await startServer();
    const appender = await OriginalAppender.connect(server.url('/a'));
    const follower = await OriginalFollower.connect(server.url('/a'));
    const lines = Array.from({ length: 20_000 }, (_, i) => `€€€€€€ ${i}`);
    const frames = lines.map((line) => originalMessage(Op.text, Buffer.from(`${line}\n`), true));
    await appender.writeRaw(Buffer.concat(frames));
    await appender.close();
    expect(await follower.outcome).toMatchObject({ exitCode: 0, lostBytes: 0 });
    expect(linesOf(follower.messages)).toEqual(lines);
    expect(Math.max(...follower.messages.map(({ length }) => length))).toBeLessThanOrEqual(1024);
    // They were merged.
    expect(follower.messages.length).toBeLessThan(lines.length / 2);
  });

  test("leave the appender's own long messages as they are that come with them", async () => {
    const server = await startServer();
    const appender = await OriginalAppender.connect(server.url('/a'));
    const follower = await OriginalFollower.connect(server.url('/a'));
    // One after the other, in a few reads, which cut some.
    const texts = Array.from({ length: 200 }, (_, i) => `${i}`.padEnd(i % 10 < 3 ? 100 : 1500, '.'));
    const frames = texts.map((text) => originalMessage(Op.text, Buffer.from(text), true));
    await appender.writeRaw(Buffer.concat(frames));
    await appender.close();
    expect(await follower.outcome).toMatchObject({ exitCode: 0, lostBytes: 0 });
    expect(Buffer.concat(follower.messages).toString()).toBe(texts.join(''));
    // Of 140: some are cut where a read ends.
    const whole = follower.messages.filter(({ length }) => length === 1500);
    expect(whole.length).toBeGreaterThan(70);
  });

  test('are merged to short ones in the body of a request, too', async () => {
    const server = await startServer();
    const appender = request(server.url('/a?verb=APPEND'), { method: 'PUT' });
    appender.write('begun\n');
    await waitForSize(path.join(server.root, 'a'), 6);
    const follower = await OriginalFollower.connect(server.url('/a'));
    await waitFor(() => follower.byteCount === 6, 'the beginning');
    const lines = Array.from({ length: 20_000 }, (_, i) => `€€€€€€ ${i}`);
    for (const line of lines) appender.write(`${line}\n`);
    appender.end();
    expect(await follower.outcome).toMatchObject({ exitCode: 0, lostBytes: 0 });
    expect(linesOf(follower.messages)).toEqual(['begun', ...lines]);
    expect(Math.max(...follower.messages.map(({ length }) => length))).toBeLessThanOrEqual(1024);
    expect(follower.messages.length).toBeLessThan(lines.length / 2);
  });

  test('by way of a relay are short ones, too', async () => {
    const origin = await startServer();
    const relay = await startRelay(origin.url(''));
    const appender = openAppend(origin.url('/a'));
    appender.write('begun\n');
    const follower = await OriginalFollower.connect(relay.url('/a'));
    await waitFor(() => follower.byteCount === 6, 'the beginning');
    const lines = Array.from({ length: 20_000 }, (_, i) => `€€€€€€ ${i}`);
    appender.end(`${lines.join('\n')}\n`);
    expect(await follower.outcome).toMatchObject({ exitCode: 0, lostBytes: 0 });
    expect(linesOf(follower.messages)).toEqual(['begun', ...lines]);
    expect(Math.max(...follower.messages.map(({ length }) => length))).toBeLessThanOrEqual(1024);
  });

  test("do not make the appender's own long messages short", async () => {
    const server = await startServer();
    const appender = await OriginalAppender.connect(server.url('/a'));
    const follower = await OriginalFollower.connect(server.url('/a'));
    await appender.write('x'.repeat(10_000));
    await waitFor(() => follower.byteCount === 10_000, 'the message');
    expect(follower.messages).toHaveLength(1);
    await appender.close();
  });
});
