import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ActivityReports } from '../../../src/server/websocket/activity-reports.ts';
import type { ActivityMessage } from '../../../src/wire/protocol.ts';
import { startServer } from '../../support/server/server.ts';
import { V2Peer } from '../../support/websocket/v2-peer.ts';

const isStatus = (message: { type: string }): message is ActivityMessage => message.type === 'status';

describe('a follower that wants to be told what goes on', () => {
  it('is told of all followers, and of what has come, and nobody else is', async () => {
    const server = await startServer();
    const appender = await V2Peer.append(server.url('/f'));
    const other = await V2Peer.follow(server.url('/f'));
    const follower = await V2Peer.follow(server.url('/f'), { status: 1 });
    appender.send('x'.repeat(5000));
    const told = () => follower.controls.filter(isStatus);
    await follower.until(() => told().length > 0, 'the first message');
    expect(told()[0]).toMatchObject({ position: 5000, followers: 2, rate: expect.any(Number) });
    expect(told()[0]?.rate).toBeGreaterThan(0);
    expect(other.controls.filter(isStatus)).toEqual([]);
    expect(follower.oddTexts).toEqual([]);
  });

  it('is told the time only, as long as there is nothing', async () => {
    const server = await startServer();
    const follower = await V2Peer.follow(server.url('/missing'), { status: 1, wait: 60 });
    await follower.until(() => follower.controls.some(isStatus), 'the first message');
    expect(follower.controls.find(isStatus)).toEqual({ type: 'status', time: expect.any(Number) });
  });

  it('must say so as it is written', async () => {
    const server = await startServer();
    await expect(V2Peer.follow(server.url('/f'), { status: 'yes', wait: 1 })).rejects.toThrow('400');
  });
});

describe('reports', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'Date'] }));
  afterEach(() => void vi.useRealTimers());

  it('come once a second to each, spread over it, and end with the followers', () => {
    const reports = new ActivityReports();
    const followers = Array.from({ length: 20 }, () => ({
      isOver: false,
      feed: { committed: 0, readerCount: 1 },
      told: [] as ActivityMessage[],
      tell(message: ActivityMessage) {
        this.told.push(message);
      },
    }));
    for (const [i, follower] of followers.entries()) {
      reports.add(follower);
      if (i % 2 === 1) vi.advanceTimersByTime(100);
    }
    for (const { told } of followers) told.length = 0;
    vi.advanceTimersByTime(100);
    expect(followers.filter(({ told }) => told.length > 0)).toHaveLength(2);
    vi.advanceTimersByTime(900);
    expect(followers.map(({ told }) => told.length)).toEqual(followers.map(() => 1));
    for (const follower of followers) {
      follower.feed.committed += 3000;
      follower.told.length = 0;
    }
    vi.advanceTimersByTime(1000);
    expect(followers.map(({ told }) => told[0]?.rate)).toEqual(followers.map(() => 3000));
    for (const follower of followers) follower.isOver = true;
    vi.advanceTimersByTime(1000);
    expect(vi.getTimerCount()).toBe(0);
  });
});
