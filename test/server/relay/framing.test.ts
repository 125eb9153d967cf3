import { describe, expect, test } from 'vitest';
import { rawRequest } from '../../support/http/raw.ts';
import { serve } from '../../support/http/servers.ts';
import { startRelay } from '../../support/relay/origin.ts';

const SMUGGLED = 'GET /smuggled HTTP/1.1\r\nHost: other\r\n\r\n';

/** A server that counts as one of ours, and what it was asked. */
async function pair() {
  const seen: { line: string; body: string; trailers: NodeJS.Dict<string> }[] = [];
  const url = await serve(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const line = `${request.method} ${request.url}`;
    seen.push({ line, body: Buffer.concat(chunks).toString(), trailers: request.trailers });
    if (request.headers['x-verb'] === 'FOLLOW') response.setHeader('stream-generation', 1);
    response.end();
  });
  const relay = await startRelay(url);
  // From now on it is known what it is.
  await rawRequest(relay.port, 'DELETE /known HTTP/1.1');
  seen.length = 0;
  return { relay, seen };
}

describe.each(['GET', 'HEAD', 'DELETE', 'PUT', 'POST'])('the body of a %s that is passed on', (method) => {
  test('ends there where it ends here, whatever the connection is said to be about', async () => {
    const { relay, seen } = await pair();
    const ask = (...headers: string[]) => rawRequest(relay.port, `${method} /x/?q=1 HTTP/1.1`, headers);
    const body = `\r\n\r\n${SMUGGLED}`;
    for (const name of ['Content-Length', 'host', 'Via', 'x-verb', 'If-Match', 'expect']) {
      const answer = await ask(`Connection: ${name}, close`, `Content-Length: ${SMUGGLED.length}${body}`);
      expect(answer.status).toBe(400);
    }
    const coded = `Transfer-Encoding: gzip, chunked\r\n\r\n${SMUGGLED.length.toString(16)}\r\n${SMUGGLED}\r\n0`;
    expect((await ask('Connection: close', coded)).status).toBe(501);
    expect(seen).toEqual([]);
    const long = await ask(
      'Connection: transfer-encoding, close',
      `Content-Length: ${SMUGGLED.length}${body}`,
    );
    expect(long.status).toBe(200);
    const chunks = `\r\n\r\n${SMUGGLED.length.toString(16)}\r\n${SMUGGLED}\r\n0\r\nx-t: 1`;
    const framing = ['Trailer: x-t', `Transfer-Encoding: chunked${chunks}`];
    expect((await ask('Connection: transfer-encoding, trailer, close', ...framing)).status).toBe(200);
    expect((await ask('Connection: close', 'Content-Length: 0')).status).toBe(200);
    const line = `${method} /x/?q=1`;
    expect(seen).toEqual([
      { line, body: SMUGGLED, trailers: {} },
      { line, body: SMUGGLED, trailers: { 'x-t': '1' } },
      { line, body: '', trailers: {} },
    ]);
  });
});
