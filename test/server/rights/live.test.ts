import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import http from 'node:http';
import path from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { Right } from '../../../src/rights/access.ts';
import { openSocket, readToEnd, writeHead } from '../../support/http/raw.ts';
import { send } from '../../support/http/request.ts';
import { RuleAccess, type TokenRules } from '../../support/server/rule-access.ts';
import { startServer } from '../../support/server/server.ts';
import { sessionOf, V2Peer } from '../../support/websocket/v2-peer.ts';

const ALL: readonly Right[] = ['follow', 'append', 'list', 'delete'];
const RULES = { '/**': ALL };
const LARGE_BYTES = 64 * 1024 * 1024;

/** How a right ends: the credential expires, the credential is taken away, or the right is. */
const EXPIRED = { how: 'expires', closeCode: 3000, status: 401 };
const REVOKED = { how: 'is taken away', closeCode: 3003, status: 401 };
const WITHOUT = { how: 'loses the right', closeCode: 3003, status: 403 };
const ENDS = [EXPIRED, REVOKED, WITHOUT];

type End = (typeof ENDS)[number];

/** A server at which `t` may do everything until it is ended; `u` is the same subject with another token. */
async function start({ how }: End, graceMs = 60_000) {
  const others: Record<string, TokenRules> = { other: { rules: RULES }, u: { name: 'who', rules: RULES } };
  const access = new RuleAccess({ t: { name: 'who', rules: RULES }, ...others });
  const server = await startServer({ access, graceMs, longPollMs: 60_000 });
  await writeFile(path.join(server.root, 'large'), Buffer.alloc(LARGE_BYTES));
  const end = () => {
    if (how === 'expires') {
      access.change({ t: { name: 'who', rules: RULES, expiresMs: Date.now() + 100 }, ...others });
    }
    if (how === 'is taken away') access.change({ other: { rules: RULES } });
    // Its other rights stay.
    if (how === 'loses the right') {
      access.change({ t: { name: 'who', rules: { '/elsewhere/**': ALL } }, other: { rules: RULES } });
    }
  };
  return { ...server, end };
}

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

describe.each(ENDS)('who $how', (ending) => {
  it('and follows by WebSocket is told so, and of no end of what it follows', async () => {
    const { url, end } = await start(ending);
    const appender = await V2Peer.append(url('/f'), {}, { headers: bearer('other') });
    const follower = await V2Peer.follow(url('/f'), {}, { headers: bearer('t') });
    const waiting = await V2Peer.follow(url('/missing'), { wait: 60 }, { headers: bearer('t') });
    const stays = await V2Peer.follow(url('/f'), {}, { headers: bearer('other') });
    await appender.append('before', 6);
    await follower.until(() => follower.text === 'before', 'the bytes');
    end();
    for (const peer of [follower, waiting]) {
      await peer.until(() => peer.closeCode !== undefined, 'the close');
      expect([peer.end, peer.closeCode]).toEqual([undefined, ending.closeCode]);
    }
    await appender.append('after', 11);
    await stays.until(() => stays.text === 'beforeafter', 'the bytes');
    expect(follower.text).toBe('before');
  });

  it('and appends by WebSocket has its session as long as its credential may be another one', async () => {
    const { url, end } = await start(ending);
    const session = sessionOf('s');
    const appender = await V2Peer.append(url('/f'), { session }, { headers: bearer('t') });
    const follower = await V2Peer.follow(url('/f'), {}, { headers: bearer('other') });
    await appender.append('before', 6);
    end();
    await appender.until(() => appender.closeCode !== undefined, 'the close');
    expect([appender.end, appender.closeCode]).toEqual([undefined, ending.closeCode]);
    if (ending === EXPIRED) {
      // Nobody else goes on with it, whatever token of the session is known.
      await expect(V2Peer.append(url('/f'), { session }, { headers: bearer('other') })).rejects.toThrow(
        '403',
      );
      const again = await V2Peer.append(url('/f'), { session }, { headers: bearer('u') });
      expect(again.open).toMatchObject({ position: 6 });
      await again.append('after', 11);
      await follower.until(() => follower.text === 'beforeafter', 'the rest');
    } else {
      await follower.until(() => follower.closeCode !== undefined, 'the end');
      expect(follower.ending).toEqual(['interrupted', 1011]);
    }
  });

  it('and reads or writes over HTTP is cut, and is refused where it waits', async () => {
    const { port, url, end } = await start(ending);
    const appender = await V2Peer.append(url('/live'), {}, { headers: bearer('other') });
    await appender.append('x', 1);
    // Its type may still be said.
    await V2Peer.append(url('/empty'), {}, { headers: bearer('other') });
    await send('PUT', url('/stream'), { headers: { ...bearer('other'), 'content-type': 'text/plain' } });
    const cut = ['/live?verb=FOLLOW', '/stream?offset=-1&live=sse', '/large'].map(async (target) => {
      const socket = await openSocket(port);
      writeHead(socket, `GET ${target} HTTP/1.1`, ['Authorization: Bearer t']);
      const [head] = (await once(socket, 'data')) as [Buffer];
      expect(head.toString('latin1', 0, 12), target).toBe('HTTP/1.1 200');
      // As much as a slow reader takes: the rest is still to come when it ends.
      if (target === '/large') socket.pause();
      return { target, socket };
    });
    const waiting = [
      '/stream?offset=now&live=long-poll',
      '/missing?verb=FOLLOW&wait=60',
      '/empty?verb=FOLLOW',
    ];
    const refused = waiting.map((target) => send('GET', url(target), { headers: bearer('t') }));
    const uploads = ['/new?verb=APPEND', '/other?verb=APPEND'].map((target) => uploadTo(url(target)));
    const readers = await Promise.all(cut);
    const appenders = await Promise.all(uploads);
    const ends = readers.map(({ socket }) => readToEnd(socket));
    end();
    for (const answer of await Promise.all(refused)) expect(answer.status).toBe(ending.status);
    for (const { socket } of readers) socket.resume();
    for (const answer of appenders) expect((await answer.answered).statusCode).toBe(ending.status);
    for (const [index, end] of ends.entries()) {
      const bytes = await end;
      // The last chunk, or all that was promised, has not come.
      expect(bytes.toString('latin1'), readers[index]?.target).not.toMatch(/\r\n0\r\n/);
      expect(bytes.length).toBeLessThan(LARGE_BYTES);
    }
  });
});

it('who keeps a right goes on, whatever else changes', async () => {
  const access = new RuleAccess({ t: { rules: RULES } });
  const { url } = await startServer({ access });
  const appender = await V2Peer.append(url('/f'), {}, { headers: bearer('t') });
  const follower = await V2Peer.follow(url('/f'), {}, { headers: bearer('t') });
  access.change({ t: { rules: { '/f': ['follow', 'append'] } } });
  await expect(send('GET', url('/'), { headers: bearer('t') })).resolves.toMatchObject({ status: 403 });
  access.change({ t: { rules: { '/f': ['append'] } } });
  await follower.until(() => follower.closeCode === 3003, 'the close');
  await appender.append('x', 1);
});

it('who loses the right while something is being opened is refused or cut, at whatever moment that is', async () => {
  const all = { t: { rules: RULES }, other: { rules: RULES } };
  const access = new RevokedSoon(all);
  const { port, url } = await startServer({ access, longPollMs: 60_000 });
  const appender = await V2Peer.append(url('/f'), {}, { headers: bearer('other') });
  await appender.append('before', 6);
  const cut = async (target: string, ...headers: string[]) => {
    const socket = await openSocket(port);
    writeHead(socket, `GET ${target} HTTP/1.1`, ['Authorization: Bearer t', 'Connection: close', ...headers]);
    return (await readToEnd(socket)).toString('latin1');
  };
  for (let steps = 1; steps < 150; steps += 1 + Math.floor(steps / 50)) {
    access.steps = steps;
    for (const [target, ...headers] of [
      ['/f?verb=FOLLOW'],
      ['/f', 'Range: bytes=0-9007199254740991'],
      ['/f?offset=-1&live=sse'],
      ['/f?offset=now&live=long-poll'],
    ] as [string, ...string[]][]) {
      access.change(all);
      // Nothing has come to its end.
      expect(await cut(target, ...headers), `${target} after ${steps}`).not.toMatch(/\r\n0\r\n/);
    }
    access.change(all);
    const peer = await V2Peer.follow(url('/f'), {}, { headers: bearer('t') }).catch(() => undefined);
    await peer?.until(() => peer.closeCode !== undefined, 'the close');
    expect(peer?.end).toBeUndefined();
  }
});

it('anonymous ones end, too, when their rights do', async () => {
  const access = new RuleAccess({}, RULES);
  const { url } = await startServer({ access });
  await V2Peer.append(url('/f'), {});
  const follower = await V2Peer.follow(url('/f'));
  const waiting = send('GET', url('/missing?verb=FOLLOW&wait=60'));
  await follower.until(() => follower.open !== undefined, 'the beginning');
  access.change({});
  await follower.until(() => follower.closeCode === 3003, 'the close');
  await expect(waiting).resolves.toMatchObject({ status: 401 });
});

it('a session that waits for its client ends when nobody of its name may append there any more', async () => {
  const both = { t: { name: 'who', rules: RULES }, u: { name: 'who', rules: RULES } };
  const others = { other: { rules: RULES } };
  const access = new RuleAccess({ ...both, ...others }, { '/public': ['append'] });
  const { url } = await startServer({ access, graceMs: 600_000 });
  const leave = async (at: string, token?: string) => {
    const headers = token === undefined ? {} : bearer(token);
    const appender = await V2Peer.append(url(at), { session: sessionOf('s') }, { headers });
    await appender.append('before', 6);
    const follower = await V2Peer.follow(url(at), {}, { headers: bearer('other') });
    appender.socket.destroy();
    await follower.until(() => follower.story.includes('waiting'), 'the wait');
    return follower;
  };
  const follower = await leave('/f', 't');
  const unnamed = await leave('/public');
  const own = await leave('/own', 'other');
  const expiresMs = Date.now() - 1;
  for (const rules of [RULES, { '/f': ALL }]) {
    // The name counts, be one of its tokens away and the other expired.
    access.change({ u: { name: 'who', rules, expiresMs }, ...others }, { '/public': ['append'] });
  }
  access.change({ u: { name: 'who', rules: { '/other': ALL }, expiresMs }, ...others });
  for (const ended of [follower, unnamed]) {
    await ended.until(() => ended.closeCode !== undefined, 'the end');
    expect(ended.ending).toEqual(['interrupted', 1011]);
  }
  expect(own.end).toBeUndefined();
  const next = await V2Peer.append(url('/f'), {}, { headers: bearer('other') });
  expect(next.open).toMatchObject({ position: 6 });
});

it('a session that a server before this one has left belongs to who began it', async () => {
  const access = new RuleAccess({ t: { rules: RULES }, other: { rules: RULES } });
  const first = await startServer({ access, graceMs: 60_000 });
  const session = sessionOf('s');
  const begun = await V2Peer.append(first.url('/f'), { session }, { headers: bearer('t') });
  await begun.append('before', 6);
  begun.socket.destroy();
  await first.app.close();
  const { url } = await startServer({ access, graceMs: 60_000, root: first.root });
  await expect(V2Peer.append(url('/f'), { session }, { headers: bearer('other') })).rejects.toThrow('403');
  const again = await V2Peer.append(url('/f'), { session }, { headers: bearer('t') });
  expect(again.open).toMatchObject({ position: 6 });
});

it('a session that a server before this one has left is not waited for when its client may not come back', async () => {
  const access = new RuleAccess({ t: { rules: RULES }, other: { rules: RULES } });
  const first = await startServer({ access, graceMs: 600_000 });
  for (const at of ['/f', '/g', '/posted']) {
    const begun = await V2Peer.append(first.url(at), { session: sessionOf('s') }, { headers: bearer('t') });
    await begun.append('before', 6);
    begun.socket.destroy();
  }
  await first.app.close();
  access.change({ t: { rules: { '/g': ALL } }, other: { rules: RULES } });
  const { url } = await startServer({ access, graceMs: 600_000, root: first.root });
  const append = (at: string) =>
    send('PUT', url(`${at}?verb=APPEND`), { headers: bearer('other'), body: 'x' });
  const headers = { ...bearer('other'), 'content-type': 'text/plain' };
  const post = (at: string) => send('POST', url(at), { headers, body: 'x' });
  expect((await append('/f')).status).toBe(200);
  expect((await post('/posted')).status).toBe(204);
  expect((await append('/g')).status).not.toBe(200);
  expect((await post('/g')).status).toBe(503);
});

/** Takes the token `t` away soon after it has been brought. */
class RevokedSoon extends RuleAccess {
  /** After so many steps of what is under way. */
  steps = 1;

  override subjectOf(token: string | undefined) {
    const subject = super.subjectOf(token);
    if (token === 't') void this.#revoke(this.steps);
    return subject;
  }

  async #revoke(steps: number): Promise<void> {
    for (let step = 0; step < steps; step++) await (step < 100 ? undefined : nextTurn());
    this.change({ other: { rules: RULES } });
  }
}

/** Begins to send a body that does not end; resolves when the server has let it in. */
async function uploadTo(url: string): Promise<{ answered: Promise<http.IncomingMessage> }> {
  const headers = { ...bearer('t'), expect: '100-continue', 'transfer-encoding': 'chunked' };
  const request = http.request(url, { method: 'PUT', headers, agent: false });
  request.on('error', () => undefined);
  const answered = once(request, 'response').then(([response]) =>
    (response as http.IncomingMessage).resume(),
  );
  request.flushHeaders();
  await once(request, 'continue');
  request.write('x');
  return { answered };
}
