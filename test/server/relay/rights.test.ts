import { mkdir, readFile, writeFile } from 'node:fs/promises';
import type http from 'node:http';
import path from 'node:path';
import { expect, it } from 'vitest';
import type { Right } from '../../../src/rights/access.ts';
import { rawGet, rawHandshake } from '../../support/http/raw.ts';
import { send } from '../../support/http/request.ts';
import { serve } from '../../support/http/servers.ts';
import { startOrigin, startRelay } from '../../support/relay/origin.ts';
import { RuleAccess } from '../../support/server/rule-access.ts';
import { startServer } from '../../support/server/server.ts';
import { V2Peer } from '../../support/websocket/v2-peer.ts';

const ALL: readonly Right[] = ['follow', 'append', 'list', 'delete'];

/** A relay of `/open/` and `/closed/` at which `t` may do everything, and everybody what is in `/open/`. */
async function start(tokenRules: Record<string, readonly Right[]> = { '/**': ALL }) {
  const origin = await startOrigin();
  for (const directory of ['open', 'closed']) {
    await mkdir(path.join(origin.root, directory));
    await writeFile(path.join(origin.root, directory, 'f'), 'content');
  }
  const access = new RuleAccess({ t: { rules: tokenRules } }, { '/open/**': ALL });
  const relay = await startRelay(origin.url('/'), { access });
  return { origin, relay, access };
}

const WITH_TOKEN = { headers: { authorization: 'Bearer t' } };

it('what nobody may is refused here, and the upstream is not asked', async () => {
  const { origin, relay } = await start();
  const requests: [string, string, http.OutgoingHttpHeaders?][] = [
    ['GET', '/closed/f'],
    ['GET', '/closed/'],
    ['GET', '/open/../closed/f'],
    ['HEAD', '/closed/f'],
    ['GET', '/closed/f?verb=FOLLOW&wait=9'],
    ['GET', '/closed/f?offset=-1'],
    ['PUT', '/closed/new'],
    ['POST', '/closed/f?verb=APPEND'],
    ['DELETE', '/closed/f'],
    ['PUT', '/open/fork', { 'stream-forked-from': '/closed/f' }],
    ['PUT', '/open/fork?verb=APPEND', { 'stream-forked-from': '/closed/f' }],
  ];
  for (const [method, target, headers = {}] of requests) {
    expect((await send(method, relay.url(target), { headers })).status, `${method} ${target}`).toBe(401);
  }
  expect(
    (await rawHandshake(relay.port, '/closed/f', ['Sec-WebSocket-Protocol: httpfstream.v2'])).status,
  ).toBe(401);
  expect((await rawHandshake(relay.port, '/closed/f?verb=APPEND')).status).toBe(401);
  expect(origin.requests).toEqual([]);
});

it('a copy is for those who may read it here, and the token is for this server alone', async () => {
  const { origin, relay } = await start();
  const seen: http.IncomingHttpHeaders[] = [];
  origin.app.server.prependListener('request', ({ headers }) => seen.push({ ...headers }));
  origin.app.server.prependListener('upgrade', ({ headers }) => seen.push({ ...headers }));
  const whole = await send('GET', relay.url('/closed/f'), WITH_TOKEN);
  expect([whole.status, whole.text]).toEqual([200, 'content']);
  expect(whole.headers['cache-control']).toMatch(/private/);
  expect((await send('GET', relay.url('/closed/f'))).status).toBe(401);
  const listing = await send('GET', relay.url('/closed/'), WITH_TOKEN);
  expect([listing.status, listing.headers['cache-control'], listing.headers.vary]).toEqual([
    200,
    'private, no-cache',
    'Accept, Sec-Fetch-Dest, Authorization',
  ]);
  const protocols = ['Sec-WebSocket-Protocol: httpfstream.v2, bearer.t'];
  expect((await rawHandshake(relay.port, '/closed/g?verb=APPEND', protocols)).status).toBe(101);
  expect(seen.length).toBeGreaterThan(1);
  expect(JSON.stringify(seen)).not.toMatch(/bearer/i);
});

it('who may only list what comes from elsewhere, or only append to it, does not get what is in it', async () => {
  const { relay, origin } = await start({ '/closed/**': ['list', 'append'] });
  expect((await send('GET', relay.url('/closed/f'), WITH_TOKEN)).status).toBe(403);
  expect((await send('GET', relay.url('/closed/'), WITH_TOKEN)).status).toBe(403);
  expect((await send('HEAD', relay.url('/closed/f'), WITH_TOKEN)).headers['content-length']).toBe('7');
  expect((await send('DELETE', relay.url('/closed/f'), WITH_TOKEN)).status).toBe(403);
  expect((await send('PUT', relay.url('/closed/f?verb=APPEND'), { ...WITH_TOKEN, body: '!' })).status).toBe(
    200,
  );
  expect(await readFile(path.join(origin.root, 'closed/f'), 'utf8')).toBe('content!');
});

it('who may list what comes from elsewhere gets what stands for a directory only if that may be read, too', async () => {
  const page = await serve((request, response) => response.end(`all about ${request.url}`));
  const access = new RuleAccess({
    lists: { rules: { '/**': ['list', 'append'] } },
    reads: { rules: { '/**': ['list', 'follow'] } },
  });
  const relay = await startRelay(page, { access });
  for (const at of ['/', '/report/', '/api/?id=7', '/api/x/..']) {
    const as = (token: string) =>
      send('GET', relay.url(at), { headers: { authorization: `Bearer ${token}` } });
    expect((await as('lists')).status, at).toBe(403);
    expect((await as('reads')).text, at).toContain('all about /');
  }
});

it('a renamed file is found elsewhere for who may follow it by whatever name it has', async () => {
  const { origin, relay, access } = await start({ '/closed/f': ['follow'] });
  const hidden = { 'closed/f-private': 'secret', 'closed/f.1': 'hidden' };
  for (const [name, content] of Object.entries(hidden)) {
    const made = await send('PUT', origin.url(`/${name}?verb=APPEND`), { body: content });
    const { generation } = JSON.parse(made.text);
    const rest = (from: number) => {
      const query = `verb=FOLLOW&from=${from}&%68old=60&generation=${generation}`;
      // It may break off behind what is there: the file is not at this path any more.
      return rawGet(relay.port, `/closed/f?${query}`, ['Authorization: Bearer t']);
    };
    access.change({ t: { rules: { '/closed/f': ['follow'] } } });
    expect((await rest(0)).status, name).toBe(410);
    access.change({ t: { rules: { '/closed/**': ['follow'] } } });
    expect(await rest(0), name).toMatchObject({ status: 200, body: expect.stringContaining(content) });
    // It is kept there at the path by now.
    access.change({ t: { rules: { '/closed/f': ['follow'] } } });
    expect((await rest(0)).status, name).toBe(410);
    expect((await rest(1)).status, name).toBe(410);
  }
});

it('a form is passed on for who may append to whatever its files are named', async () => {
  const { origin, relay } = await start({ '/closed/': ['append'], '/closed/mine': ['append'] });
  const all = await startRelay(origin.url('/'), { access: new RuleAccess({ t: { rules: { '/**': ALL } } }) });
  const asked = await startRelay(origin.url('/'), { authorize: () => true });
  const post = (url: string, method: string, name: string) => {
    const form = new FormData();
    form.append('f', new Blob(['!']), name);
    return fetch(url, { ...WITH_TOKEN, method, body: form });
  };
  for (const method of ['POST', 'PUT']) {
    for (const name of ['f', 'mine']) {
      expect((await post(relay.url('/closed/?verb=APPEND'), method, name)).status).toBe(403);
      // An application is asked about files by their names, which are not known here.
      expect((await post(asked.url('/closed/?verb=APPEND'), method, name)).status).toBe(401);
    }
  }
  expect(await readFile(path.join(origin.root, 'closed/f'), 'utf8')).toBe('content');
  expect((await post(all.url('/closed/?verb=APPEND'), 'POST', 'f')).status).toBe(200);
  expect(await readFile(path.join(origin.root, 'closed/f'), 'utf8')).toBe('content!');
});

it('who loses a right is cut from what is passed on, and from what is fetched', async () => {
  const { relay, origin, access } = await start();
  const appender = await V2Peer.append(origin.url('/closed/live'));
  await appender.append('first', 5);
  const follower = await V2Peer.follow(relay.url('/closed/live'), {}, WITH_TOKEN);
  await follower.until(() => follower.text === 'first', 'the bytes');
  const tunnelled = await V2Peer.append(relay.url('/closed/through'), {}, WITH_TOKEN);
  access.change({}, {});
  await follower.until(() => follower.closeCode === 3003, 'the close');
  await tunnelled.until(() => tunnelled.closeCode !== undefined, 'the cut');
  await appender.append('second', 11);
  expect(follower.text).toBe('first');
});

it('what the upstream refuses to this one is said as it is there, whoever asks', async () => {
  const origin = await startOrigin({ access: new RuleAccess({ t: { rules: {} } }, { '/open/**': ALL }) });
  for (const directory of ['open', 'closed']) {
    await mkdir(path.join(origin.root, directory));
    await writeFile(path.join(origin.root, directory, 'f'), 'content');
  }
  const refusals = [
    { headers: {}, status: 401, detail: 'the right to follow here needs a token' },
    {
      headers: { authorization: 'Bearer t' },
      status: 403,
      detail: 'the token does not give the right to follow here',
    },
  ];
  for (const { headers, status, detail } of refusals) {
    const relay = await startServer({ upstreams: [{ url: origin.url('/'), headers }] });
    // From now on its kind is known, and what is asked for is followed.
    expect((await send('GET', relay.url('/open/f'))).text).toBe('content');
    for (const target of ['/closed/f?verb=FOLLOW', '/closed/f?verb=FOLLOW', '/closed/f']) {
      const answer = await send('GET', relay.url(target));
      expect([answer.status, JSON.parse(answer.text)], target).toMatchObject([status, { detail }]);
    }
    // The upstream has said it.
    expect((await send('GET', relay.url('/closed/g'))).headers.via).toBeDefined();
  }
});
