import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { append } from '../src/client/append/append.ts';
import { follow } from '../src/client/follow/follow.ts';
import { type Conversation, curl, events, subprotocol, waiting } from './support/docs/conversations.ts';
import {
  documentedConfiguration,
  PROXIES,
  type ProxyKind,
  proxiesHere,
  startProxy,
} from './support/docs/proxies.ts';
import { send } from './support/http/request.ts';
import { pattern } from './support/pattern.ts';
import { startServerHere } from './support/programs/command.ts';
import { runProgram } from './support/programs/program.ts';
import { InProcessServer } from './support/server/restartable-server.ts';
import { waitFor } from './support/wait-for.ts';
import { Peer } from './support/websocket/peer.ts';

/** `npm run soak` runs the long form: more than the minute after which most proxies cut what is silent. */
const { silenceMs, bodyBytes } = process.env.HTTPFSTREAM_SOAK
  ? { silenceMs: 75_000, bodyBytes: 64 * 1024 * 1024 }
  : { silenceMs: 5000, bodyBytes: 2 * 1024 * 1024 };

/** Events end by themselves after a minute. */
const EVENTS_SILENCE_MS = Math.min(silenceMs, 45_000);

/** What takes the place of the documented limits where the server has to keep awake what can be … */
const LIMIT = '3s';

/** … by this, … */
const KEEP_ALIVE_MS = 400;

/** … for longer than that. */
const BEYOND_LIMIT_MS = 5000;

const PAGE = await readFile(path.join(import.meta.dirname, '../docs/proxies.md'), 'utf8');

/** Says something, is silent, and goes on. */
async function talk(opening: Promise<Conversation>, pauseMs: number): Promise<void> {
  const conversation = await opening;
  await conversation.say('one ');
  // It comes at once, and not with what comes later.
  await waitFor(() => conversation.heard() === 'one ', 'the first word');
  await delay(pauseMs);
  await conversation.say('two');
  await conversation.end();
  expect(conversation.heard()).toBe('one two');
}

async function start(kind: ProxyKind, { limit, keepAliveMs }: { limit?: string; keepAliveMs?: number } = {}) {
  const server = await InProcessServer.start(keepAliveMs === undefined ? {} : { keepAliveMs });
  const configuration = documentedConfiguration(PAGE, kind);
  const url = await startProxy(kind, configuration, { backendPort: server.port, limit });
  return { server, url };
}

const here = proxiesHere();

for (const kind of PROXIES) {
  describe.runIf(here.includes(kind))(`behind ${kind.name} as documented`, () => {
    test('what is said comes at once, and silence ends nothing', async () => {
      const { url } = await start(kind);
      await Promise.all([
        talk(curl(`${url}/curl.log`), silenceMs),
        talk(subprotocol(`${url}/subprotocol.log`), silenceMs),
        talk(waiting(`${url}/waiting.log`, silenceMs), 0),
        talk(events(`${url}/events`), EVENTS_SILENCE_MS),
      ]);
    });

    if (kind.limits) {
      test('the limits are what is documented, and the server keeps awake what can be', async () => {
        const { url } = await start(kind, { limit: LIMIT, keepAliveMs: KEEP_ALIVE_MS });
        await Promise.all([
          talk(subprotocol(`${url}/subprotocol.log`), BEYOND_LIMIT_MS),
          talk(waiting(`${url}/waiting.log`, BEYOND_LIMIT_MS), 0),
          talk(events(`${url}/events`), BEYOND_LIMIT_MS),
          expect(talk(curl(`${url}/curl.log`), BEYOND_LIMIT_MS)).rejects.toThrow('curl ended with'),
        ]);
      });
    }

    test('bodies of any length go through in both directions, with their length and without', async () => {
      const { url } = await start(kind);
      const bytes = pattern(0, bodyBytes);
      const pieces = Array.from({ length: 64 }, (_, i) =>
        bytes.subarray((i * bodyBytes) / 64, ((i + 1) * bodyBytes) / 64),
      );
      for (const [name, body] of [
        ['length', bytes],
        ['chunked', pieces],
      ] as const) {
        for (const urlPath of [`/append-${name}?verb=APPEND`, `/put-${name}`]) {
          expect((await send('PUT', url + urlPath, { body })).status).toBe(201);
        }
        for (const urlPath of [`/append-${name}`, `/put-${name}?verb=FOLLOW`]) {
          const answer = await send('GET', url + urlPath);
          expect([answer.status, answer.body.equals(bytes)]).toEqual([200, true]);
        }
      }
    });

    test('heads of 32 KiB go through, and answers name the URL that the client used', async () => {
      const { server, url } = await start(kind);
      const headers = { cookie: 'x'.repeat(32 * 1024) };
      const made = await send('PUT', `${url}/d/f?verb=APPEND`, { body: 'content', headers });
      expect([made.status, made.headers.location]).toEqual([201, `${url}/d/f`]);
      expect(await send('GET', `${url}/d/f`, { headers })).toMatchObject({ status: 200, text: 'content' });
      const appender = await Peer.connect(`${url}/ws`, 'APPEND', { headers });
      appender.websocket.close();
      const { location = '' } = (await send('GET', `${url}/d`)).headers;
      expect(new URL(location, `${url}/d`).href).toBe(`${url}/d/`);
      expect(server.url('/')).not.toBe(`${url}/`);
    });

    test('the server that is started as documented is reached under its public name', async () => {
      const [, options = ''] = /^httpfstream-server -http localhost:8080 (.*)$/m.exec(PAGE) ?? [];
      const server = await startServerHere(...options.split(' '));
      const url = await startProxy(kind, documentedConfiguration(PAGE, kind), { backendPort: server.port });
      // What is said here of the way to the proxy is not believed.
      const lies = { 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'https' };
      const asPublic = { host: 'logs.example', ...lies };
      const made = await send('PUT', `${url}/f?verb=APPEND`, { body: 'content', headers: asPublic });
      expect([made.status, made.headers.location]).toEqual([201, 'http://logs.example/f']);
      const refused = await send('GET', `${url}/f`, { headers: { ...lies, host: 'other.example' } });
      expect([refused.status, refused.code]).toEqual([421, 'HFS_UNKNOWN_HOST']);
    });

    test('a server that is not there is a failure for everybody', async () => {
      const { server, url } = await start(kind);
      await server.stop();
      const refusal = { status: expect.toBeOneOf([502, 503, 504]) };
      const uploading = runProgram('curl', ['-sf', '-T', 'package.json', `${url}/f?verb=APPEND`]);
      const following = runProgram('curl', ['-sf', '-N', `${url}/f?verb=FOLLOW`]);
      await Promise.all([
        expect(uploading).resolves.toMatchObject({ exitCode: 22 }),
        expect(following).resolves.toMatchObject({ exitCode: 22 }),
        expect(append(`${url}/f`, ['x'])).rejects.toMatchObject(refusal),
        expect(follow(`${url}/f`).toArray()).rejects.toMatchObject(refusal),
      ]);
    });
  });
}
