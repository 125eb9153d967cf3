import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Reconnector } from '../../src/client/reconnector.ts';
import type { ReconnectEvent } from '../../src/client/retry.ts';
import { ConnectionError, UnexpectedStatusError } from '../../src/wire/errors.ts';

const QUICK = { minDelayMs: 1, maxDelayMs: 1 };

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
afterEach(() => void vi.useRealTimers());

/** What a reconnector does after an error. */
function scheduled(error: ConnectionError | UnexpectedStatusError, withinMs?: number) {
  const events: ReconnectEvent[] = [];
  const failures: Error[] = [];
  const reconnector = new Reconnector(
    { retry: QUICK, onReconnect: (event) => events.push(event) },
    (failure) => failures.push(failure),
  );
  const connect = vi.fn();
  expect(reconnector.schedule(error, connect, withinMs)).toBe(true);
  return { reconnector, connect, events, failures, delayMs: events[0]?.delayMs ?? Number.NaN };
}

describe('a stream connects again', () => {
  test('when the server that refused it wants that, and no sooner', () => {
    const { connect, delayMs } = scheduled(new UnexpectedStatusError(503, 'busy', 7000));
    expect(delayMs).toBe(7000);
    vi.advanceTimersByTime(6999);
    expect(connect).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1);
    expect(connect).toHaveBeenCalledOnce();
  });

  test.each([
    ['the server says nothing', new UnexpectedStatusError(503), 1],
    ['the server is in no hurry to be left alone', new UnexpectedStatusError(503, 'busy', 0), 1],
    ['there was none', new ConnectionError('cut'), 1],
  ])('after its own time when %s', (_, error, delayMs) => {
    expect(scheduled(error).delayMs).toBe(delayMs);
  });

  test('within the time that it has, whatever the server wants', () => {
    expect(scheduled(new UnexpectedStatusError(503, 'busy', 7000), 50).delayMs).toBe(50);
  });
});

test('what a new connection throws is a failure, and the last attempt', () => {
  const { connect, failures, reconnector } = scheduled(new ConnectionError('cut'));
  const failure = new TypeError('no such proxy');
  connect.mockImplementation(() => {
    throw failure;
  });
  vi.advanceTimersByTime(1);
  expect(failures).toEqual([failure]);
  reconnector.schedule(new ConnectionError('cut'), connect);
  expect(vi.getTimerCount()).toBe(0);
});
