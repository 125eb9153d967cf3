import { Readable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { client, logging, retry, text } from '../../../src/http/index.node.ts';
import { rejection } from '../../client/client-server.ts';
import { nobody, serve, serveBytes } from '../../support/http/servers.ts';

interface Line {
  level: 'info' | 'error';
  details: Record<string, unknown>;
  message: string;
}

function noting() {
  const lines: Line[] = [];
  const write = (level: Line['level']) => (details: object, message: string) =>
    lines.push({ level, details: { ...details }, message });
  return { lines, middleware: logging({ info: write('info'), error: write('error') }) };
}

describe('the log has', () => {
  test('one line for a request, at the end of its answer, with the bytes of both', async () => {
    const { lines, middleware } = noting();
    const url = await serve((request, response) => request.pipe(response));
    for (const body of ['hällo', new Uint8Array(6), Readable.from(['abc', 'def'])]) {
      const response = await client(url).use(middleware).post('/a').body(body).send();
      expect(lines).toEqual([]);
      await text(response);
      const details = {
        method: 'POST',
        url: `${url}/a`,
        status: 200,
        sentBytes: 6,
        receivedBytes: 6,
        durationMs: expect.any(Number),
      };
      expect(lines.splice(0)).toEqual([{ level: 'info', details, message: `POST ${url}/a 200` }]);
    }
  });

  test('nothing that may be a secret', async () => {
    const { lines, middleware } = noting();
    const url = await serve((_request, response) =>
      response.writeHead(403, { 'set-cookie': 'secret=1' }).end('secret'),
    );
    const base = url.replace('//', '//me:secret@');
    await client(base, { headers: { authorization: 'secret' } })
      .use(middleware)
      .get('/a')
      .query('token', 'secret')
      .send()
      .then(text);
    expect(lines).toHaveLength(1);
    expect(JSON.stringify(lines)).not.toContain('secret');
  });

  test('what was left, what broke off and what failed', async () => {
    const { lines, middleware } = noting();
    const endless = await serve((_request, response) => response.write('hello'));
    await (await client(endless).use(middleware).get('/').send()).body?.cancel();
    const cut = await serveBytes('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello', 'close');
    await rejection(client(cut).use(middleware).get('/').send().then(text));
    await rejection(
      client(await nobody())
        .use(middleware)
        .get('/')
        .send(),
    );
    expect(lines).toMatchObject([
      { level: 'info', message: `GET ${endless}/ 200 cancelled` },
      {
        level: 'error',
        message: `GET ${cut}/ 200 broke off`,
        details: { status: 200, receivedBytes: 5, err: { code: 'HFS_CONNECTION' } },
      },
      {
        level: 'error',
        message: expect.stringMatching(/^GET .* failed$/),
        details: { err: { code: 'HFS_CONNECTION' } },
      },
    ]);
  });

  test('a line for each attempt, when it is within those', async () => {
    const { lines, middleware } = noting();
    const url = await serve((_request, response) => response.writeHead(503, { 'retry-after': '0' }).end());
    await client(url)
      .use(retry({ times: 1 }), middleware)
      .get('/')
      .send()
      .then(text);
    expect(lines.map(({ details }) => details.status)).toEqual([503, 503]);
  });
});
