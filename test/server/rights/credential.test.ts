import { mkdir, writeFile } from 'node:fs/promises';
import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import path from 'node:path';
import Fastify from 'fastify';
import { describe, expect, it } from 'vitest';
import { httpfstream } from '../../../src/server/plugin.ts';
import { takeToken } from '../../../src/server/rights/credential.ts';
import { InvalidRequestError, UnauthorizedError } from '../../../src/wire/errors.ts';
import { rawGet, rawHandshake, rawRequest } from '../../support/http/raw.ts';
import { RuleAccess } from '../../support/server/rule-access.ts';
import { listen, startServer, temporaryDirectory } from '../../support/server/server.ts';

const TOKEN = 'hfs_secret';
const BEARER = `Authorization: Bearer ${TOKEN}`;
const BAD = 'Authorization: Bearer hfs_mistyped';

/** A request with these headers, as Node makes it. */
function requestWith(...lines: [name: string, value: string][]): IncomingMessage {
  const request = new IncomingMessage(new Socket());
  request.rawHeaders = lines.flat();
  for (const [name, value] of lines) request.headers[name.toLowerCase()] ??= value;
  return request;
}

describe('a token', () => {
  it.each([
    ['Bearer hfs_x', 'hfs_x'],
    ['bearer  hfs_x ', 'hfs_x'],
    [`Basic ${btoa('anybody:hfs_x')}`, 'hfs_x'],
    [`basic ${btoa(':hfs:x')}`, 'hfs:x'],
  ])('is brought by "%s"', (authorization, token) => {
    const request = requestWith(['Host', 'x'], ['Authorization', authorization]);
    expect(takeToken(request)).toBe(token);
    expect([request.headers, request.rawHeaders]).toEqual([{ host: 'x' }, ['Host', 'x']]);
  });

  it.each([
    '',
    'Bearer',
    'hfs_x',
    'Digest x',
    'Bearer x y',
    `Basic ${btoa('hfs_x')}`,
    `Basic ${btoa('x:')}`,
    'Basic ?',
  ])('is not brought by "%s"', (authorization) => {
    const request = requestWith(['Authorization', authorization]);
    expect(() => takeToken(request)).toThrow(UnauthorizedError);
    expect([request.headers, request.rawHeaders]).toEqual([{}, []]);
  });

  it('is taken out of the subprotocols, and wins over what a browser adds', () => {
    const names = ['httpfstream.v2', 'bearer.hfs_x'].join(', ');
    const request = requestWith(
      ['Sec-WebSocket-Protocol', names],
      ['Authorization', `Basic ${btoa('a:other')}`],
    );
    expect(takeToken(request)).toBe('hfs_x');
    expect(request.headers).toEqual({ 'sec-websocket-protocol': 'httpfstream.v2' });
    expect(request.rawHeaders).toEqual([]);
  });

  it('is brought once, and not as the only subprotocol', () => {
    const lines: [string, string][][] = [
      [
        ['Authorization', 'Bearer a'],
        ['authorization', 'Bearer a'],
      ],
      [['Sec-WebSocket-Protocol', 'bearer.a']],
      [['Sec-WebSocket-Protocol', 'httpfstream.v2, bearer.a, bearer.b']],
    ];
    for (const each of lines) expect(() => takeToken(requestWith(...each))).toThrow(InvalidRequestError);
  });

  it('is none where none is brought', () => {
    expect(takeToken(requestWith(['Sec-WebSocket-Protocol', 'httpfstream.v2']))).toBeUndefined();
  });
});

/** A server at which the token may do everything, and everybody may read `/public/`. It logs into `log`. */
async function start(options: { prefix?: string; corsOrigins?: readonly string[] } = {}) {
  const log: string[] = [];
  const app = Fastify({
    logger: { level: 'trace', stream: { write: (line: string) => void log.push(line) } },
  });
  const root = await temporaryDirectory();
  const access = new RuleAccess(
    { [TOKEN]: { name: 't', rules: { '/**': ['follow', 'append', 'list', 'delete'] } } },
    { '/public/**': ['follow', 'list'] },
  );
  await app.register(httpfstream, { closeTimeoutMs: 200, ...options, root, access });
  for (const directory of ['public', 'private']) {
    await mkdir(path.join(root, directory));
    await writeFile(path.join(root, directory, 'f'), 'content');
  }
  return { ...(await listen(app)), log };
}

describe('a handshake of a page', () => {
  it('brings its token as a subprotocol, which is neither chosen nor seen', async () => {
    const { port, log } = await start();
    const protocols = `Sec-WebSocket-Protocol: httpfstream.v2, bearer.${TOKEN}`;
    const { status, headers } = await rawHandshake(port, '/private/f', [protocols]);
    expect([status, headers['sec-websocket-protocol']]).toEqual([101, 'httpfstream.v2']);
    const append = await rawHandshake(port, '/private/g?verb=APPEND', [protocols]);
    expect([append.status, append.headers['sec-websocket-protocol']]).toEqual([101, 'httpfstream.v2']);
    const alone = await rawHandshake(port, '/private/f', [`Sec-WebSocket-Protocol: bearer.${TOKEN}`]);
    expect(alone.status).toBe(400);
    expect(JSON.stringify([headers, append.headers, alone, log])).not.toContain(TOKEN);
  });

  it('is refused with a token that does not count, and without one', async () => {
    const { port } = await start();
    const bad = await rawHandshake(port, '/public/f', [
      'Sec-WebSocket-Protocol: httpfstream.v2, bearer.hfs_x',
    ]);
    expect(bad.status).toBe(401);
    expect((await rawHandshake(port, '/private/f', ['Sec-WebSocket-Protocol: httpfstream.v2'])).status).toBe(
      401,
    );
  });
});

describe('a refusal', () => {
  it.each([
    ['', true],
    ['Sec-Fetch-Mode: navigate', true],
    ['Sec-Fetch-Mode: no-cors', true],
    ['Sec-Fetch-Mode: cors', false],
    ['Sec-Fetch-Mode: same-origin', false],
    ['Sec-Fetch-Mode: websocket', false],
  ])('asks for a bearer, and with "%s" for a password: %s', async (mode, isAsked) => {
    const { port } = await start();
    const { headers } = await rawGet(port, '/private/f', [
      'Sec-Fetch-Site: same-origin',
      ...(mode ? [mode] : []),
    ]);
    const basic = ', Basic realm="httpfstream", charset="UTF-8"';
    expect(headers['www-authenticate']).toBe(`Bearer realm="httpfstream"${isAsked ? basic : ''}`);
  });

  it('comes before the body, and without a word to send it', async () => {
    const { port } = await start();
    for (const line of [
      'PUT /private/new',
      'PUT /private/new?verb=APPEND',
      'POST /private/f',
      'POST /?verb=APPEND',
    ]) {
      const expects = ['Expect: 100-continue', 'Content-Length: 1000000'];
      const { status } = await rawRequest(port, `${line} HTTP/1.1`, expects);
      expect(status, line).toBe(401);
    }
  });

  it('can be seen by a page that may use the server, and its preflight needs no token', async () => {
    const { port } = await start({ corsOrigins: ['https://page.example'] });
    const origin = 'Origin: https://page.example';
    const { status, headers } = await rawGet(port, '/private/f', [origin]);
    expect([status, headers['access-control-allow-origin']]).toEqual([401, 'https://page.example']);
    const asks = [
      origin,
      'Access-Control-Request-Method: GET',
      'Access-Control-Request-Headers: authorization',
    ];
    expect((await rawRequest(port, 'OPTIONS /private/f HTTP/1.1', asks)).status).toBe(204);
  });

  it('tells neither the token nor what is there, nor does the log', async () => {
    const { port, log } = await start();
    const { body } = await rawGet(port, '/private/f', [BAD]);
    await rawRequest(port, 'PUT /private/f HTTP/1.1', [BEARER, 'Content-Length: bad', 'X: y']);
    await rawGet(port, '/private/f', [BEARER, 'Range: bytes=99-']);
    expect(body + log.join('')).not.toMatch(/hfs_|content"/);
    expect(log.join('')).toContain('HFS_UNAUTHORIZED');
  });
});

describe('an answer', () => {
  it.each(['/private/f', '/private/', '/private', '/private/missing', '/private/f?offset=-1'])(
    'of %s is kept by no cache for others',
    async (target) => {
      const { port } = await start();
      const { headers } = await rawGet(port, target, [BEARER]);
      expect(headers['cache-control']).toMatch(/\bprivate\b/);
      expect(headers.vary).toMatch(/\bAuthorization\b/);
      expect(headers['referrer-policy']).toBe('no-referrer');
    },
  );

  it('for everybody may be kept, but for that an other one may get another one', async () => {
    const { port } = await start();
    const { headers } = await rawGet(port, '/public/f');
    expect([headers['cache-control'], headers.vary]).toEqual([
      'no-cache',
      'Accept, Sec-Fetch-Dest, Authorization',
    ]);
    const listing = await rawGet(port, '/public/');
    expect(listing.headers.vary).toBe('Accept, Sec-Fetch-Dest, Authorization');
  });

  it('where there are no rights is as it was', async () => {
    const { port, root } = await startServer({ viewer: false });
    await writeFile(path.join(root, 'f'), 'content');
    const { status, headers } = await rawGet(port, '/f', [BAD]);
    expect([status, headers['cache-control'], headers.vary, headers['referrer-policy']]).toEqual([
      200,
      'no-cache',
      undefined,
      undefined,
    ]);
  });
});

it('rights are of paths below the prefix', async () => {
  const { port } = await start({ prefix: '/logs' });
  expect((await rawGet(port, '/logs/public/f')).status).toBe(200);
  expect((await rawGet(port, '/logs/private/f')).status).toBe(401);
  expect((await rawGet(port, '/logs/private/f', [BEARER])).status).toBe(200);
  expect((await rawGet(port, '/logs/public/../private/f')).status).toBe(401);
});
