import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { contentRangeOf, discard, requestResource } from '../../src/cli/resource-request.ts';
import { text } from '../../src/http/index.node.ts';
import { ConnectionError } from '../../src/wire/errors.ts';
import { isKeptAlive, showsKeepAlive } from '../support/http/keep-alive.ts';
import { startSource } from '../support/http/source.ts';
import { waitFor } from '../support/wait-for.ts';

const GET = { method: 'GET', headers: {} } as const;

describe('the time that a server has to answer', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
  afterEach(() => void vi.useRealTimers());

  test.each(['at once', 'after a redirect'])('ends after 30 s, when it is silent %s', async (when) => {
    let hear = () => {};
    const heard = new Promise<void>((resolve) => {
      hear = resolve;
    });
    const url = await startSource(({ url }, response) => {
      if (when === 'after a redirect' && url === '/') response.writeHead(302, { location: '/next' }).end();
      else hear();
    });
    const failure = requestResource(url, GET).catch((error: unknown) => error);
    await heard;
    vi.advanceTimersByTime(29_999);
    expect(vi.getTimerCount()).toBe(1);
    vi.advanceTimersByTime(1);
    const error = await failure;
    expect(error).toBeInstanceOf(ConnectionError);
    expect((error as Error).message).toBe('no answer within 30 s');
  });

  test('is over with the head of the answer: the body may take any time', async () => {
    let finish = () => {};
    const url = await startSource((_, response) => {
      response.write('begun, ');
      finish = () => void response.end('done');
    });
    const response = await requestResource(url, GET);
    expect(vi.getTimerCount()).toBe(0);
    finish();
    expect(await text(response)).toBe('begun, done');
  });

  test('leaves no timer when there is no server', async () => {
    await expect(requestResource('http://127.0.0.1:1/', GET)).rejects.toThrow('ECONNREFUSED');
    expect(vi.getTimerCount()).toBe(0);
  });
});

test.skipIf(!showsKeepAlive)(
  'a body that does not come is waited for as long as its machine is there',
  async () => {
    const url = await startSource((_, response) => void response.write('begun, '));
    const response = await requestResource(url, GET);
    await waitFor(() => isKeptAlive(url), 'probes');
    await discard(response);
  },
);

test.each<[string | undefined, ...(number | undefined)[]]>([
  ['bytes 0-9/100', 0, 9, 100],
  ['bytes 5-9/*', 5, 9, undefined],
  ['bytes */100', undefined, undefined, 100],
  ['bytes */*', undefined, undefined, undefined],
  ['bytes 0-9', undefined, undefined, undefined],
  ['items 0-9/100', undefined, undefined, 100],
  ['bytes 0--1/0', undefined, undefined, 0],
  [undefined, undefined, undefined, undefined],
])('the content range "%s" is from %s to %s of %s', (text, start, end, total) => {
  const headers = new Headers(text === undefined ? {} : { 'content-range': text });
  expect(contentRangeOf(headers)).toEqual({ start, end, total });
});
