import { describe, expect, test } from 'vitest';
import { ConnectionNews } from '../../src/cli/client-command.ts';
import { runFollow } from '../../src/cli/follow/run-follow.ts';
import { ConnectionError } from '../../src/wire/errors.ts';
import { startRawServer } from '../client/client-server.ts';
import { runHere } from './command.ts';

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

describe('a connection that breaks', () => {
  /** What is told without -v of as many attempts, and of the success of the last. */
  const told = (news: ConnectionNews, attempts: number) => {
    for (let attempt = 1; attempt <= attempts; attempt++) {
      news.lost({ attempt, delayMs: 500, error: new ConnectionError('cut') });
    }
    news.again();
  };

  const start = (lines: string[], verbose: string[] = []) =>
    new ConnectionNews(
      { log: (line) => lines.push(line), logVerbose: (line) => verbose.push(line) },
      'URL: ',
    );

  test('and is soon there again is told with -v only', () => {
    const [lines, verbose]: string[][] = [[], []];
    told(start(lines as string[], verbose), 4);
    expect(lines).toEqual([]);
    expect(verbose).toHaveLength(5);
    expect(verbose?.at(-1)).toBe('URL: connected again');
  });

  test('for some seconds is told once, and that it is there again', () => {
    const lines: string[] = [];
    const news = start(lines);
    told(news, 20);
    const lost = 'URL: connection lost (cut): trying again in 0.5 s (attempt 5)';
    expect(lines).toEqual([lost, 'URL: connected again']);
    told(news, 2);
    expect(lines).toHaveLength(2);
    told(news, 5);
    expect(lines).toEqual([lost, 'URL: connected again', lost, 'URL: connected again']);
  });
});
