import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { follow, openAppend } from '../../../src/client/index.ts';
import { Backoff, Reconnector } from '../../../src/client/session/reconnector.ts';
import type { ReconnectEvent, RetryOptions } from '../../../src/client/session/session-options.ts';
import {
  ConnectionError,
  type HttpfstreamError,
  ProtocolError,
  UnexpectedStatusError,
} from '../../../src/wire/errors.ts';

const QUICK = { minDelayMs: 1, maxDelayMs: 1 };

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

function delays(backoff: Backoff, count: number): (number | undefined)[] {
  return Array.from({ length: count }, () => backoff.next());
}

describe('the waits between attempts', () => {
  test('double from the shortest to the longest, and stay there', () => {
    vi.spyOn(Math, 'random').mockReturnValue(1 - Number.EPSILON);
    const backoff = new Backoff({ minDelayMs: 100, maxDelayMs: 1000 });
    expect(delays(backoff, 6)).toEqual([100, 200, 400, 800, 1000, 1000]);
    expect(backoff.attempts).toBe(6);
  });

  test('are 0.1 s to 10 s long without options, and there are a hundred', () => {
    vi.spyOn(Math, 'random').mockReturnValue(1 - Number.EPSILON);
    const backoff = new Backoff(undefined);
    const all = delays(backoff, 100);
    expect(all[0]).toBe(100);
    expect(all.at(-1)).toBe(10_000);
    expect(backoff.next()).toBeUndefined();
  });

  test('are at most 2 s long until a minute was waited, since somebody may be watching', () => {
    const backoff = new Backoff(undefined);
    let waitedMs = 0;
    for (let i = 0; i < 100; i++) {
      const delayMs = backoff.next() as number;
      if (waitedMs < 60_000) expect(delayMs).toBeLessThanOrEqual(2000);
      else expect(delayMs).toBeGreaterThan(2000);
      waitedMs += delayMs;
    }
    backoff.reset();
    expect(delays(backoff, 10).every((delayMs) => (delayMs as number) <= 2000)).toBe(true);
  });

  test('are not shortened where the shortest is to be longer', () => {
    vi.spyOn(Math, 'random').mockReturnValue(1 - Number.EPSILON);
    expect(delays(new Backoff({ minDelayMs: 5000 }), 2)).toEqual([5000, 5000]);
  });

  test('differ, so that clients that were cut together do not come back together', () => {
    const firsts = Array.from({ length: 200 }, () => new Backoff({ minDelayMs: 1000 }).next() as number);
    expect(Math.min(...firsts)).toBeGreaterThanOrEqual(500);
    expect(Math.max(...firsts)).toBeLessThanOrEqual(1000);
    expect(new Set(firsts).size).toBeGreaterThan(20);
  });

  test('are bounded however many attempts there were', () => {
    const backoff = new Backoff({ times: Number.POSITIVE_INFINITY, maxDelayMs: 50 });
    expect(delays(backoff, 3000).every((delayMs) => delayMs !== undefined && delayMs <= 50)).toBe(true);
  });

  test('begin anew after a success', () => {
    vi.spyOn(Math, 'random').mockReturnValue(1 - Number.EPSILON);
    const backoff = new Backoff({ times: 2, minDelayMs: 10 });
    expect(delays(backoff, 3)).toEqual([10, 20, undefined]);
    backoff.reset();
    expect(backoff.attempts).toBe(0);
    expect(delays(backoff, 3)).toEqual([10, 20, undefined]);
  });

  test.each([[false as const], [{ times: 0 }]])('are none with retry: %j', (options) => {
    expect(new Backoff(options).next()).toBeUndefined();
  });

  test('may be no wait at all', () => {
    expect(delays(new Backoff({ times: 2, minDelayMs: 0 }), 3)).toEqual([0, 0, undefined]);
  });
});

describe.each(['times', 'minDelayMs', 'maxDelayMs'])('the option retry.%s', (name) => {
  test.each([-1, Number.NaN, 'soon'])('must not be %s', (value) => {
    const retry = { [name]: value } as unknown as RetryOptions;
    expect(() => new Backoff(retry)).toThrow(TypeError);
    expect(() => openAppend('http://127.0.0.1:1/a', { retry })).toThrow(`retry.${name}`);
    expect(() => follow('http://127.0.0.1:1/a', { retry })).toThrow(`retry.${name}`);
  });
});

/** What a reconnector does after an error. */
function scheduled(error: HttpfstreamError, withinMs?: number) {
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

test('a server that violates the protocol three times without progress is given up', () => {
  const { reconnector, connect } = scheduled(new ProtocolError('first'));
  expect(reconnector.schedule(new ProtocolError('second'), connect)).toBe(true);
  reconnector.progressed();
  expect(reconnector.schedule(new ProtocolError('first'), connect)).toBe(true);
  expect(reconnector.schedule(new ProtocolError('second'), connect)).toBe(true);
  expect(reconnector.schedule(new ConnectionError('cut'), connect)).toBe(true);
  expect(reconnector.schedule(new ProtocolError('third'), connect)).toBe(false);
});

test('who is told of an attempt may cancel it', () => {
  const reconnector: Reconnector = new Reconnector(
    { onReconnect: () => reconnector.cancel() },
    () => undefined,
  );
  expect(reconnector.schedule(new ConnectionError('cut'), () => undefined)).toBe(true);
  expect(vi.getTimerCount()).toBe(0);
});

test('that a stream has resumed is told once for each time that it was lost', () => {
  const onReconnected = vi.fn();
  const reconnector = new Reconnector({ retry: QUICK, onReconnected }, () => undefined);
  reconnector.resumed();
  expect(onReconnected).not.toHaveBeenCalled();
  reconnector.schedule(new ConnectionError('cut'), () => undefined);
  reconnector.resumed();
  reconnector.resumed();
  expect(onReconnected).toHaveBeenCalledOnce();
});
