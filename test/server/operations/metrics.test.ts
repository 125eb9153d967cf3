import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import http from 'node:http';
import path from 'node:path';
import { expect, test } from 'vitest';
import { PassProxy } from '../../support/http/pass-proxy.ts';
import { openSocket, rawRequest, writeHead } from '../../support/http/raw.ts';
import { send } from '../../support/http/request.ts';
import { startOrigin } from '../../support/relay/origin.ts';
import { ScriptedServer, say } from '../../support/relay/scripted.ts';
import { type Scraped, scrape } from '../../support/server/scrape.ts';
import { startServers } from '../../support/server/server.ts';
import { waitFor } from '../../support/wait-for.ts';
import { sessionOf, V2Peer } from '../../support/websocket/v2-peer.ts';

const hasPromtool = spawnSync('promtool', ['--version']).status === 0;

/** As docs/metrics.md has them. */
async function documented(): Promise<Map<string, string>> {
  const text = await readFile(path.resolve('docs/metrics.md'), 'utf8');
  const rows = text.matchAll(/^\| `(?<name>[a-z_]+)` \| (?<type>gauge|counter|histogram) \|/gm);
  return new Map(Array.from(rows, ({ groups }) => [groups!.name!, groups!.type!]));
}

test('there are the metrics that are documented, of these types', async () => {
  const { admin } = await startServers();
  const { types } = await scrape(admin);
  const expected = await documented();
  expect(expected.size).toBeGreaterThan(30);
  const named = [...types].map(([name, type]) => [name.replace(/^httpfstream_/, ''), type]);
  expect(new Map(named as [string, string][])).toEqual(expected);
});

test('each reason to refuse somebody is documented, and counted from 0 on', async () => {
  const { admin } = await startServers();
  const { text } = await scrape(admin);
  const told = [...text.matchAll(/^httpfstream_refusals_total\{reason="(\w+)"\} 0$/gm)].map(
    ([, reason]) => reason,
  );
  const page = await readFile(path.resolve('docs/metrics.md'), 'utf8');
  const row = /^\| `refusals_total` \| counter \| reason \| (.*) \|$/m.exec(page)?.[1] ?? '';
  expect(told.sort()).toEqual([...row.matchAll(/`(\w+)`/g)].map(([, reason]) => reason).sort());
});

/** A relay with as many quotas as have numbers, one of them of an odd name; and its upstream, which says any status. */
async function startWithMuch() {
  const upstream = await ScriptedServer.start(({ line }, socket) => {
    say(socket, `${/\d+$/.exec(line)?.[0] ?? 404} So`, { 'content-type': 'text/plain' }, 'text');
  });
  const quotas = Array.from({ length: 63 }, (_, i) => ({ pattern: `/q${i}/**`, bytes: 1000 }));
  return startServers({
    upstreams: [`/up=${upstream.url}`],
    quotas: [...quotas, { pattern: '/odd "name\\x/**', bytes: 1000 }],
  });
}

/** What only ever grows, by name and labels. */
function countersIn({ text, types }: Scraped): Map<string, number> {
  const samples = [...text.matchAll(/^(([a-z_]+)(?:\{.*\})?) (\S+)$/gm)];
  const isCounter = (name: string) =>
    types.get(name) === 'counter' || types.get(name.replace(/_(?:bucket|sum|count)$/, '')) === 'histogram';
  return new Map(
    samples.filter(([, , name]) => isCounter(name!)).map(([, sample, , value]) => [sample!, Number(value)]),
  );
}

test('there are a few hundred of them, whatever is asked for, and promtool finds nothing wrong', async () => {
  const { url, admin } = await startWithMuch();
  await send('PUT', url('/a'), { body: 'bytes' });
  await send('GET', url('/a'));
  await send('GET', url('/none'));
  for (let status = 430; status < 451; status++) await send('GET', url(`/up/${status}`));
  const { text, value } = await scrape(admin);
  expect(value('httpfstream_requests_total{method="GET",code="other"}')).toBeGreaterThan(10);
  expect(text.match(/^[^#\s]/gm)?.length).toBeLessThan(500);
  if (!hasPromtool) return;
  const { status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], { input: text });
  expect([status, `${stdout}${stderr}`]).toEqual([0, '']);
});

test('what is counted only grows, whoever comes, goes and breaks off', async () => {
  const { url, port, root, admin } = await startWithMuch();
  await writeFile(path.join(root, 'large'), Buffer.alloc(16 * 1024 * 1024));
  const stalled = await Promise.all([1, 2, 3].map(() => openSocket(port)));
  const steps = [
    () => send('PUT', url('/q1/a'), { body: 'bytes' }),
    () => send('GET', url('/up/418')),
    async () => {
      for (const socket of stalled) {
        writeHead(socket, 'GET /large HTTP/1.1');
        await once(socket, 'readable');
      }
      let before = 0;
      await waitFor(async () => {
        const last = before;
        before = (await scrape(admin)).value('httpfstream_read_bytes_total{transport="file"}') ?? 0;
        return before === last;
      }, 'them to stall');
    },
    async () => {
      const closed = stalled.map((socket) => once(socket, 'close'));
      for (const socket of stalled) socket.resetAndDestroy();
      await Promise.all(closed);
      await waitFor(
        async () => ((await scrape(admin)).value('httpfstream_open_connections') ?? 0) < stalled.length,
        'the server to notice',
      );
    },
    async () => {
      const appender = await V2Peer.append(url('/log'), { session: sessionOf('a') });
      const follower = await V2Peer.follow(url('/log'));
      appender.send('12345');
      await follower.until(() => follower.text === '12345', 'the bytes');
      appender.websocket.terminate();
      follower.websocket.terminate();
    },
    () => send('DELETE', url('/q1/a')),
  ];
  let before = countersIn(await scrape(admin));
  for (const step of steps) {
    await step();
    const now = countersIn(await scrape(admin));
    const shrunk = [...before].filter(([sample, value]) => !((now.get(sample) ?? -1) >= value));
    expect(shrunk).toEqual([]);
    before = now;
  }
  expect(before.get('httpfstream_network_transmit_bytes_total')).toBeGreaterThan(1000);
});

test('what is done is counted', async () => {
  const { url, port, admin } = await startServers({ graceMs: 15_000, maxResourceBytes: 1000 });
  const appender = await V2Peer.append(url('/log'), { session: sessionOf('a') });
  const follower = await V2Peer.follow(url('/log'));
  appender.send('12345');
  await follower.until(() => follower.text === '12345', 'the bytes');
  const during = await scrape(admin);
  expect(during.value('httpfstream_appenders')).toBe(1);
  expect(during.value('httpfstream_followers{transport="websocket"}')).toBe(1);
  expect(during.value('httpfstream_append_bytes_total{transport="websocket"}')).toBe(5);
  expect(during.value('httpfstream_read_bytes_total{transport="websocket"}')).toBe(5);
  expect(during.value('httpfstream_append_safe_seconds_count')).toBe(1);
  expect(during.value('httpfstream_append_sent_seconds_count')).toBe(1);
  expect(during.value('httpfstream_requests_total{method="GET",code="101"}')).toBe(2);
  expect(during.value('httpfstream_first_byte_seconds_count{kind="handshake"}')).toBe(2);

  appender.websocket.terminate();
  await follower.until(() => follower.controls.some(({ type }) => type === 'waiting'), 'that it waits');
  expect((await scrape(admin)).value('httpfstream_sessions_waiting')).toBe(1);
  const again = await V2Peer.append(url('/log'), { session: sessionOf('a') });
  again.websocket.close(1000);
  await follower.until(() => follower.end !== undefined, 'the end');
  const refused = await send('POST', url('/log2'), { body: 'x', headers: { 'content-type': 'text/plain' } });
  expect(refused.status).toBe(404);
  await send('PUT', url('/put'), { body: 'abc' });
  await send('POST', url('/put'), { body: 'de', headers: { 'content-type': 'application/octet-stream' } });
  await send('POST', url('/f/?verb=APPEND'), {
    headers: { 'content-type': 'multipart/form-data; boundary=b' },
    body: '--b\r\ncontent-disposition: form-data; name="f"; filename="x"\r\n\r\n1234567\r\n--b--\r\n',
  });
  expect((await send('GET', url('/put'))).text).toBe('abcde');
  expect((await send('GET', url('/put'), { headers: { host: 'rebound.example.com' } })).status).toBe(421);
  expect((await send('GET', url('/put'), { headers: { long: 'x'.repeat(70_000) } })).status).toBe(431);
  await send('DELETE', url('/put'));
  expect((await rawRequest(port, 'no request', [])).status).toBe(400);
  expect((await send('PUT', url('/too-long'), { body: 'x'.repeat(1001) })).status).toBe(413);

  const after = await scrape(admin);
  const counted = (name: string) => after.value(`httpfstream_${name}`);
  // The session's and the form's: what was put is deleted.
  expect(counted('records')).toBe(2);
  expect(counted('sessions_resumed_total')).toBe(1);
  expect(counted('appends_total{kind="session",end="finished"}')).toBe(1);
  expect(counted('appends_total{kind="form",end="finished"}')).toBe(1);
  expect(counted('appends_total{kind="put",end="finished"}')).toBe(1);
  expect(counted('appends_total{kind="post",end="finished"}')).toBe(1);
  expect(counted('appends_total{kind="post",end="refused"}')).toBe(1);
  expect(counted('appends_total{kind="put",end="refused"}')).toBe(1);
  expect(counted('append_bytes_total{transport="http"}')).toBe(3 + 2 + 7);
  expect(counted('read_bytes_total{transport="file"}')).toBe(5);
  expect(counted('stream_ends_total{reason="finished"}')).toBe(2);
  expect(counted('stream_ends_total{reason="deleted"}')).toBe(1);
  expect(counted('refusals_total{reason="host"}')).toBe(1);
  expect(counted('refusals_total{reason="head_size"}')).toBe(1);
  expect(counted('refusals_total{reason="malformed"}')).toBe(1);
  expect(counted('refusals_total{reason="resource_size"}')).toBe(1);
  expect(counted('requests_total{method="GET",code="421"}')).toBe(1);
  expect(counted('requests_total{method="DELETE",code="204"}')).toBe(1);
  expect(counted('followers{transport="websocket"}')).toBe(0);
});

test('what a relay has fetched is counted, and what broke off there', async () => {
  const origin = await startOrigin();
  await send('PUT', origin.url('/whole'), { body: '12345' });
  const appender = await V2Peer.append(origin.url('/live'), { session: sessionOf('a') });
  const { url, admin } = await startServers({ upstreams: [origin.url('/')] });
  expect((await send('GET', url('/whole'))).text).toBe('12345');
  const follower = await V2Peer.follow(url('/live'));
  appender.send('123');
  await follower.until(() => follower.text === '123', 'the bytes');
  const counted = async (of: string) => (await scrape(admin)).value(`httpfstream_${of}`);
  await expect.poll(() => counted('appends_total{kind="pull",end="finished"}')).toBe(1);
  expect(await counted('append_bytes_total{transport="upstream"}')).toBe(5 + 3);
  expect(await counted('appends_total{kind="pull",end="interrupted"}')).toBe(0);
  await send('DELETE', origin.url('/live'));
  await expect.poll(() => counted('appends_total{kind="pull",end="interrupted"}')).toBe(1);
});

test('what is stored of a quota is told, and what may be', async () => {
  const { url, admin } = await startServers({ quotas: [{ pattern: '/a/**', bytes: 100 }] });
  await send('PUT', url('/a/b'), { body: '12345' });
  await send('PUT', url('/b'), { body: '12345' });
  const { value } = await scrape(admin);
  expect(value('httpfstream_quota_bytes{pattern="/a/**"}')).toBe(5);
  expect(value('httpfstream_quota_limit_bytes{pattern="/a/**"}')).toBe(100);
  const refused = await send('PUT', url('/a/c'), { body: 'x'.repeat(96) });
  expect(refused.status).toBe(507);
  expect((await scrape(admin)).value('httpfstream_refusals_total{reason="quota"}')).toBe(1);
});

test('bytes over the wire are those that a proxy in front has passed on, whatever becomes of the connections', async () => {
  const { port, admin } = await startServers();
  const proxy = await PassProxy.start(port);
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  await send('PUT', proxy.url('/large'), { body: 'x'.repeat(300_000) });
  for (let i = 0; i < 3; i++) await send('GET', proxy.url('/large'), { agent });
  agent.destroy();
  await send('GET', proxy.url('/none'));
  const appender = await V2Peer.append(proxy.url('/log'));
  const follower = await V2Peer.follow(proxy.url('/log'));
  appender.send('y'.repeat(100_000));
  await follower.until(() => follower.text.length === 100_000, 'the bytes');

  const wire = async () => {
    const { value } = await scrape(admin);
    return {
      received: value('httpfstream_network_receive_bytes_total'),
      sent: value('httpfstream_network_transmit_bytes_total'),
    };
  };
  // While these live, too.
  await waitFor(async () => (await wire()).sent === proxy.counted.sent, 'the same numbers');
  expect(await wire()).toEqual(proxy.counted);
  appender.websocket.close(1000);
  await follower.until(() => follower.end !== undefined, 'the end');
  await waitFor(
    async () => (await scrape(admin)).value('httpfstream_open_connections') === 0,
    'all connections to be closed',
  );
  expect(await wire()).toEqual(proxy.counted);
  expect((await scrape(admin)).value('httpfstream_connections_total')).toBe(proxy.connectionCount);
});
