import { once } from 'node:events';
import http, { type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { refusalOf } from '../../src/client/refusal.ts';
import { isTransient } from '../../src/client/session/refusal.ts';
import * as errors from '../../src/wire/errors.ts';
import { startRawServer } from './client-server.ts';

/** What a server answers with a status, headers and a body means. */
async function refusalBy(status: number, body: string, headers: readonly string[] = []) {
  const length = `Content-Length: ${Buffer.byteLength(body)}`;
  return refusalOf(
    await answerTo((socket) =>
      socket.end(
        [`HTTP/1.1 ${status} Reason`, length, 'Connection: close', ...headers, '', body].join('\r\n'),
      ),
    ),
  );
}

async function answerTo(answer: (socket: Socket) => void): Promise<IncomingMessage> {
  const { url } = await startRawServer(answer);
  const request = http.get(url, { headers: { connection: 'Upgrade', upgrade: 'websocket' } });
  const [response] = await once(request, 'response');
  // As who has made the request listens; newer versions of Node tell a reset to both.
  request.on('error', () => undefined);
  return response;
}

function problem(code: unknown, detail: unknown): string {
  return JSON.stringify({ code, detail });
}

describe('a refusal means', () => {
  test.each([
    [404, '', errors.ResourceNotFoundError, 'file does not exist'],
    [410, '', errors.ResourceGoneError, 'HTTP status 410'],
    [410, problem('HFS_RESOURCE_GONE', 'deleted'), errors.ResourceGoneError, 'deleted'],
    [416, '', errors.RangeNotSatisfiableError, 'HTTP status 416'],
    [409, problem('HFS_POSITION_MISMATCH', 'no'), errors.PositionMismatchError, 'HTTP status 409: no'],
    [409, problem('HFS_STREAM_CLOSED', 'closed'), errors.StreamClosedError, 'HTTP status 409: closed'],
    [409, problem('HFS_PATH_CONFLICT', 'no'), errors.UnexpectedStatusError, 'HTTP status 409: no'],
    [425, '', errors.RepeatedRequestError, 'HTTP status 425'],
    [403, problem('HFS_FORBIDDEN_PATH', 'no'), errors.ForbiddenPathError, 'HTTP status 403: no'],
    [403, problem('HFS_APPEND_CONFLICT', 'no'), errors.AppendConflictError, 'HTTP status 403: no'],
    // As the original says it, and as somebody else does.
    [
      403,
      'x already has an active appender\n',
      errors.AppendConflictError,
      'HTTP status 403: x already has an active appender',
    ],
    [
      403,
      problem('OTHER', 'already has an active'),
      errors.UnexpectedStatusError,
      'HTTP status 403: already has an active',
    ],
    [403, problem('HFS_FORBIDDEN_RIGHT', 'no'), errors.ForbiddenRightError, 'no'],
    [401, 'already has an active', errors.UnauthorizedError, 'HTTP status 401: already has an active'],
  ])('(%d, %s) what it says', async (status, body, type, message) => {
    const error = await refusalBy(status, body);
    expect(error).toBeInstanceOf(type);
    expect(error.message).toBe(message);
  });

  test.each(['{"detail":{"toString":0},"code":["HFS_STREAM_CLOSED"]}', '{', '[]', 'null', '17', '""', ' \n'])(
    'what its status says, with a body (%s) that says nothing',
    async (body) => {
      const error = await refusalBy(400, body);
      expect(error).toBeInstanceOf(errors.UnexpectedStatusError);
      expect(error.message).toMatch(/^HTTP status 400(: \{)?$/);
    },
  );

  test('no more than a line of what it says at length', async () => {
    expect((await refusalBy(500, 'x'.repeat(100_000))).message).toBe(`HTTP status 500: ${'x'.repeat(200)}`);
  });

  test('what its status says, when the body breaks off', async () => {
    const response = await answerTo((socket) => {
      socket.write('HTTP/1.1 500 Reason\r\nContent-Length: 100\r\n\r\nhalf');
      setImmediate(() => socket.resetAndDestroy());
    });
    expect(await refusalOf(response)).toMatchObject({ status: 500 });
  });

  test('what its status says, when the body does not come within 10 s', async () => {
    const response = await answerTo((socket) =>
      socket.write('HTTP/1.1 500 Reason\r\nContent-Length: 100\r\n\r\n'),
    );
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    const refusal = refusalOf(response);
    expect(vi.getTimerCount()).toBe(1);
    vi.advanceTimersByTime(9999);
    expect(response.destroyed).toBe(false);
    vi.advanceTimersByTime(1);
    expect(await refusal).toMatchObject({ status: 500 });
    expect(vi.getTimerCount()).toBe(0);
  });

  test('how long the server wants to be left alone', async () => {
    expect(await refusalBy(503, '', ['Retry-After: 7'])).toMatchObject({ status: 503, retryAfterMs: 7000 });
    expect(await refusalBy(503, '')).toMatchObject({ status: 503, retryAfterMs: undefined });
  });
});

describe('a redirect says where to', () => {
  test.each([301, 302, 303, 307, 308])('(%d)', async (status) => {
    const error = await refusalBy(status, '<html>moved</html>', [
      'Location: https://me:secret@new.example/a?b',
    ]);
    expect(error).toMatchObject({
      status,
      message: `HTTP status ${status}: the server redirects to https://new.example/a`,
    });
  });

  test('also within the server, and at no length', async () => {
    expect((await refusalBy(302, '', ['Location: /login'])).message).toMatch(/ redirects to \/login$/);
    expect((await refusalBy(302, '', [`Location: /${'x'.repeat(5000)}`])).message.length).toBeLessThan(300);
  });

  test('unless it does not', async () => {
    expect((await refusalBy(304, '')).message).toBe('HTTP status 304');
    expect((await refusalBy(400, 'no', ['Location: /login'])).message).toBe('HTTP status 400: no');
  });
});

describe('a Retry-After', () => {
  beforeEach(() => void vi.useFakeTimers({ now: Date.UTC(2026, 0, 2, 3, 4, 5), toFake: ['Date'] }));
  afterEach(() => void vi.useRealTimers());

  test.each([
    ['0', 0],
    ['7', 7000],
    [' 120 ', 120_000],
    ['Fri, 02 Jan 2026 03:05:05 GMT', 60_000],
    ['Fri, 02 Jan 2026 03:00:00 GMT', 0],
    [undefined, undefined],
    ['', undefined],
    ['-1', undefined],
    ['soon', undefined],
    ['99999', 3_600_000],
    ['9'.repeat(400), 3_600_000],
    ['Fri, 01 Jan 2027 00:00:00 GMT', 3_600_000],
    ['tomorrow GMT', undefined],
  ])('of %s is %s ms', async (text, expected) => {
    const response = Object.assign(Readable.from([]), { statusCode: 503, headers: { 'retry-after': text } });
    expect(await refusalOf(response as unknown as IncomingMessage)).toMatchObject({ retryAfterMs: expected });
  });
});

test.each([
  [400, true],
  [401, false],
  [404, true],
  [408, true],
  [410, false],
  [429, true],
  [500, true],
  [501, false],
  [503, true],
  [505, false],
  [507, false],
  [0, false],
])('status %s may be another one at the next attempt: %s', (status, expected) => {
  expect(isTransient(status)).toBe(expected);
});
