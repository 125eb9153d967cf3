import { existsSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { HANDSHAKE, rawGet, rawRequest } from '../support/http/raw.ts';
import { get } from '../support/http/request.ts';
import { startStandalone } from '../support/server/server.ts';

describe('/-/health', () => {
  test('says that the server is up, to those who ask with GET and HEAD', async () => {
    const { url, port } = await startStandalone();
    const { status, headers, body } = await get(url('/-/health'));
    expect({ status, body: String(body) }).toEqual({ status: 200, body: 'ok\n' });
    expect(headers).toMatchObject({
      'content-type': 'text/plain; charset=utf-8',
      'cache-control': 'no-store',
    });
    expect(await rawRequest(port, 'HEAD /-/health HTTP/1.1')).toMatchObject({ status: 200, body: '' });
  });

  test('does so without a look at the disk: where the root has gone, and whatever lies there', async () => {
    const { url, root } = await startStandalone();
    await mkdir(path.join(root, '-'));
    await writeFile(path.join(root, '-/health'), 'ill');
    expect(String((await get(url('/-/health'))).body)).toBe('ok\n');
    await rm(root, { recursive: true });
    expect((await get(url('/-/health'))).status).toBe(200);
  });

  test('comes after the gate', async () => {
    const { url } = await startStandalone();
    expect((await get(url('/-/health'), { host: 'rebound.example.com' })).status).toBe(421);
    expect((await get(url('/-/health'), { origin: 'https://elsewhere.example.com' })).status).toBe(403);
  });

  test.each(['PUT', 'POST', 'DELETE', 'PROPFIND'])(
    '%s is refused, and nothing is made there',
    async (method) => {
      const { port, root } = await startStandalone();
      const answer = await rawRequest(port, `${method} /-/health HTTP/1.1`, ['Content-Length: 0']);
      expect(answer.status).toBe(405);
      expect(existsSync(path.join(root, '-'))).toBe(false);
    },
  );

  test.each(['APPEND', 'FOLLOW'])('is nothing to open for %s', async (verb) => {
    const { port, root } = await startStandalone();
    const answer = await rawGet(port, `/-/health?verb=${verb}`, HANDSHAKE);
    expect(answer.status).toBe(400);
    expect(existsSync(path.join(root, '-'))).toBe(false);
  });
});
