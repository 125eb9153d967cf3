import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { onTestFinished } from 'vitest';
import type { AppendStream } from '../../../src/client/append/append-options.ts';
import { openAppend } from '../../../src/client/append/open-append.ts';
import { follow } from '../../../src/client/follow/follow.ts';
import type { FollowStream } from '../../../src/client/follow/follow-options.ts';
import { send } from '../http/request.ts';
import { startProgram } from '../programs/program.ts';
import { SseReader } from '../streams/sse-reader.ts';
import { Peer } from '../websocket/peer.ts';

/** Somebody who appends and somebody who follows, in one of the ways in which that is done. */
export interface Conversation {
  say(text: string): Promise<unknown>;
  /** What has come so far. */
  heard(): string;
  /** Ends it. Rejects unless it ends cleanly for both, and nobody had to come back in between. */
  end(): Promise<void>;
}

/** `curl -T -` and `curl -N`. */
export async function curl(url: string): Promise<Conversation> {
  const appender = startProgram('curl', ['-sf', '-T', '-', `${url}?verb=APPEND`]);
  const follower = startProgram('curl', ['-sf', '-N', `${url}?verb=FOLLOW&wait=60`]);
  return {
    say: async (text) => appender.stdin.write(text),
    heard: () => follower.stdout().toString(),
    end: async () => {
      appender.stdin.end();
      for (const { ended } of [appender, follower]) {
        const { exitCode } = await ended;
        if (exitCode !== 0) throw new Error(`curl ended with ${exitCode}`);
      }
    },
  };
}

/** The client library at both ends, and beside it a follower without the subprotocol, as of a browser. */
export async function subprotocol(url: string): Promise<Conversation> {
  const appender = openAppend(url, { retry: false });
  await once(appender, 'open');
  const follower = keep(follow(url, { retry: false }));
  const plain = await Peer.connect(url, 'FOLLOW');
  return {
    say: async (text) => appender.write(text),
    // When both have it.
    heard: () => (plain.text === follower.heard() ? follower.heard() : ''),
    end: async () => {
      await appender.close();
      await follower.ended;
      const { code } = await plain.closed();
      if (code !== 1000) throw new Error(`the WebSocket was closed with ${code}`);
    },
  };
}

/** A follower of the client library that waits for a resource which is made `afterMs`. */
export async function waiting(url: string, afterMs: number): Promise<Conversation> {
  const stream = follow(url, { retry: false, wait: 3600 });
  const follower = keep(stream);
  await once(stream, 'waiting');
  await delay(afterMs);
  let appender: AppendStream | undefined;
  return {
    say: async (text) => {
      appender ??= openAppend(url, { retry: false });
      appender.write(text);
    },
    heard: follower.heard,
    end: async () => {
      await appender?.close();
      await follower.ended;
    },
  };
}

/** Single appends to a stream, and a reader of its events. */
export async function events(url: string): Promise<Conversation> {
  const headers = { 'content-type': 'text/plain' };
  await send('PUT', url, { headers });
  const reader = await SseReader.open(url);
  return {
    say: (text) => send('POST', url, { headers, body: text }),
    heard: () => reader.data,
    end: async () => {
      await send('POST', url, { headers: { 'stream-closed': 'true' } });
      await reader.waitForClose();
      if (!reader.isEnded) throw new Error('the events broke off');
    },
  };
}

function keep(stream: FollowStream) {
  onTestFinished(() => void stream.destroy());
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  const ended = once(stream, 'end');
  ended.catch(() => undefined);
  return { heard: () => Buffer.concat(chunks).toString(), ended };
}
