import { PassThrough } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { ClientLog, ReconnectLog } from '../../src/cli/client-log.ts';
import { runFollow } from '../../src/cli/follow/run-follow.ts';
import { ConnectionError } from '../../src/wire/errors.ts';
import { startRawServer } from '../client/client-server.ts';
import { runHere } from '../support/programs/command.ts';

test.each([
  ['in plain text', '\u001b]0;pwned\u0007\u001b[2Jok\u009b31m'],
  ['in a problem document', JSON.stringify({ detail: '\u001b]0;pwned\u0007\u001b[2Jok\u009b31m' })],
])('what a server says %s reaches the terminal without control characters', async (_, body) => {
  const server = await startRawServer((socket) =>
    socket.end(`HTTP/1.1 403 No\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`),
  );
  const { stderr } = await runHere(runFollow, [server.url]);
  expect(stderr).toContain('ok');
  expect(stderr.trimEnd()).toMatch(/^\P{Cc}+$/u);
});

test('no URL is logged with user and password', () => {
  const stderr = new PassThrough();
  new ClientLog(stderr, false).write('cannot reach https://me:secret@host/a and ws://token@host/b');
  expect(String(stderr.read())).toBe('cannot reach https://host/a and ws://host/b\n');
});

describe('a connection that breaks', () => {
  /** Reports so many attempts, of which the last succeeds. */
  const report = (log: ReconnectLog, attempts: number) => {
    for (let attempt = 1; attempt <= attempts; attempt++) {
      log.lost({ attempt, delayMs: 500, error: new ConnectionError('cut') });
    }
    log.reconnected();
  };

  /** A log of which the lines are known. */
  function start(isVerbose: boolean) {
    const stderr = new PassThrough();
    const log = new ReconnectLog(new ClientLog(stderr, isVerbose), 'URL: ');
    return {
      log,
      lines: () =>
        String(stderr.read(stderr.readableLength) ?? '')
          .split('\n')
          .slice(0, -1),
    };
  }

  test('and is soon back is logged with -v only', () => {
    const { log, lines } = start(false);
    report(log, 4);
    expect(lines()).toEqual([]);
    const verbose = start(true);
    report(verbose.log, 4);
    const all = verbose.lines();
    expect(all).toHaveLength(5);
    expect(all.at(-1)).toBe('URL: connected again');
  });

  test('for some seconds is logged once, and that it is back', () => {
    const { log, lines } = start(false);
    report(log, 20);
    const lost = 'URL: connection lost (cut): trying again in 0.5 s (attempt 5)';
    expect(lines()).toEqual([lost, 'URL: connected again']);
    report(log, 2);
    expect(lines()).toEqual([]);
    report(log, 5);
    expect(lines()).toEqual([lost, 'URL: connected again']);
  });
});
