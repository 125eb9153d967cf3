import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { type ActiveConnection, ActiveConnections } from '../../src/server/active-connections.ts';
import { NEVER_MS } from '../support/patience.ts';

/** Tells what it was told. */
function connectionIn(
  connections: ActiveConnections,
  told: string[],
  leavesAtOnce = false,
): ActiveConnection {
  const connection = {
    shutDown: () => {
      told.push('shut down');
      if (leavesAtOnce) connections.delete(connection);
    },
    terminate: () => {
      told.push('terminated');
      connections.delete(connection);
    },
  };
  connections.add(connection);
  return connection;
}

describe('active connections', () => {
  test('are told that the server closes, and waited for', async () => {
    const connections = new ActiveConnections(NEVER_MS);
    const told: string[] = [];
    const slow = connectionIn(connections, told);
    connectionIn(connections, told, true);
    connections.shutDown();
    let isDrained = false;
    const drained = connections.drain(NEVER_MS).then(() => {
      isDrained = true;
    });
    await new Promise(setImmediate);
    expect(isDrained).toBe(false);
    connections.delete(slow);
    await drained;
    expect(told).toEqual(['shut down', 'shut down']);
  });

  test('are cut when they stay too long, and none are waited for where there are none', async () => {
    const connections = new ActiveConnections(NEVER_MS);
    const told: string[] = [];
    connectionIn(connections, told);
    connectionIn(connections, told);
    await connections.drain(1);
    expect(told).toEqual(['terminated', 'terminated']);
    await connections.drain(NEVER_MS);
  });

  test('are told, or cut, when they come while the server closes', async () => {
    const connections = new ActiveConnections(NEVER_MS);
    const told: string[] = [];
    connectionIn(connections, told);
    connections.shutDown();
    const late = connectionIn(connections, told);
    // Whoever has made it is not done yet.
    expect(told).toEqual(['shut down']);
    await Promise.resolve();
    expect(told).toEqual(['shut down', 'shut down']);
    connectionIn(connections, told, true);
    connections.delete(late);
    await connections.drain(1);
    expect(told).toEqual(['shut down', 'shut down', 'shut down', 'terminated']);
    connectionIn(connections, told);
    await connections.drain(NEVER_MS);
    expect(told.at(-1)).toBe('terminated');
    const gone = connectionIn(connections, told);
    connections.delete(gone);
    await Promise.resolve();
    expect(told).toHaveLength(5);
  });

  test('are cut when they come after that, also when there were none to be waited for', async () => {
    const connections = new ActiveConnections(NEVER_MS);
    const told: string[] = [];
    connections.shutDown();
    await connections.drain(NEVER_MS);
    connectionIn(connections, told);
    await new Promise(setImmediate);
    expect(told).toEqual(['terminated']);
  });

  test('are looked after twice in the quiet time, by a timer that is there as long as they are', () => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const connections = new ActiveConnections(3);
    for (let round = 0; round < 2; round++) {
      const intervals: number[] = [];
      const connection = {
        shutDown: () => undefined,
        terminate: () => undefined,
        keepAlive: (intervalMs: number) => intervals.push(intervalMs),
      };
      const unattended = connectionIn(connections, []);
      connections.add(connection);
      vi.advanceTimersByTime(5);
      expect(intervals).toEqual([2, 2]);
      connections.delete(connection);
      expect(vi.getTimerCount()).toBe(1);
      connections.delete(unattended);
      expect(vi.getTimerCount()).toBe(0);
    }
  });
});
