import { expect, test } from 'vitest';
import { runFollow } from '../../src/cli/run-follow.ts';
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
