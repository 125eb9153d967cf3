import { expect, test } from 'vitest';
import { startServers } from '../../support/server/server.ts';
import { V2Peer } from '../../support/websocket/v2-peer.ts';

const FROM = { 'x-forwarded-for': '192.0.2.1' };

test('other limits count from the moment on at which they are changed, for what lives, too', async () => {
  const quotas = [{ pattern: '/q/**', bytes: 100 }];
  const { url, changeLimits } = await startServers({ quotas, trustProxy: ['loopback'] });
  const put = async (name: string, bytes: number) => {
    const answer = await fetch(url(name), { method: 'PUT', body: 'x'.repeat(bytes), headers: FROM });
    return answer.status;
  };
  const follow = async () => (await fetch(url('/live?verb=FOLLOW'), { headers: FROM })).status;
  const appender = await V2Peer.append(url('/live'));
  const follower = await V2Peer.follow(url('/live'));
  await appender.append('here', 4);
  expect(await put('/a', 20)).toBe(201);
  expect(await put('/q/a', 20)).toBe(201);

  changeLimits({ maxFollowers: 1 });
  expect(await follow()).toBe(503);
  changeLimits({ maxResourceBytes: 10 });
  expect(await put('/b', 11)).toBe(413);
  // What was changed before, and is not said any more, is as it is by default.
  changeLimits({ quotas: [{ pattern: '/q/**', bytes: 30 }] });
  expect(await put('/b', 11)).toBe(201);
  expect(await put('/q/b', 11)).toBe(507);
  expect(await put('/q/b', 10)).toBe(201);
  changeLimits({ minFreeBytes: Number.MAX_SAFE_INTEGER });
  expect(await put('/c', 1)).toBe(507);
  changeLimits({ maxLive: 1 });
  expect((await fetch(url('/c?verb=APPEND'), { method: 'POST', body: 'x' })).status).toBe(503);
  changeLimits({ maxWaiting: 0 });
  expect((await fetch(url('/none?verb=FOLLOW&wait=60'))).status).toBe(429);
  changeLimits({ rate: 1 });
  const statuses = await Promise.all(Array.from({ length: 60 }, () => put('/a', 20)));
  expect(statuses.sort().at(-1)).toBe(429);
  changeLimits({ maxConnectionsPerAddress: 0 });
  expect(await put('/a', 20)).toBe(429);
  expect(() => changeLimits({ maxFollowers: 0 })).toThrow(TypeError);
  const twice = { pattern: '/q/**', bytes: 1 };
  expect(() => changeLimits({ quotas: [twice, twice] })).toThrow('each pattern once');
  changeLimits({});
  expect(await put('/c', 1)).toBe(201);
  await appender.append('goes on', 11);
  await follower.until(() => follower.text === 'heregoes on', 'all of it');
});
