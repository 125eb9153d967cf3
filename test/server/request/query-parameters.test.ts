import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HANDSHAKE, rawRequest } from '../../support/http/raw.ts';
import { send } from '../../support/http/request.ts';
import { makeDirectory } from '../../support/server/reserves.ts';
import { InProcessServer } from '../../support/server/restartable-server.ts';

const CONTENT = 'one\ntwo\nthree\n';
const SUBPROTOCOL = 'Sec-WebSocket-Protocol: httpfstream.v2';

let server: InProcessServer;

beforeAll(async () => {
  server = new InProcessServer(await makeDirectory('quick'), {});
  await server.start();
  await writeFile(path.join(server.root, 'f.txt'), CONTENT);
});

afterAll(async () => {
  await server.stop();
  await rm(server.root, { recursive: true, force: true });
});

const FOLLOWERS = ['from=1', 'lines=1', 'lines=10-12', 'wait=1', 'generation=1'];
const APPENDERS = ['session=0123456789abcdef', 'attempt=1', 'expect=0', 'generation=1'];
const READERS = ['offset=-1', 'offset=now', 'live=sse', 'live=long-poll', 'cursor=1'];

/** What is asked, its verb (in the query or the header), and what means nothing then. */
const MEANINGLESS = [
  ['GET', '', [], [...FOLLOWERS, ...APPENDERS]],
  ['HEAD', '', [], [...FOLLOWERS, ...APPENDERS]],
  ['GET', 'verb=FOLLOW&', [], [...APPENDERS.slice(0, 3), ...READERS]],
  ['GET', '', ['X-Verb: FOLLOW'], [...APPENDERS.slice(0, 3), ...READERS]],
  ['HEAD', 'verb=FOLLOW&', [], [...APPENDERS.slice(0, 3), ...READERS]],
  ['PUT', 'verb=APPEND&', [], [...FOLLOWERS.slice(0, 4), ...READERS]],
  ['POST', '', ['X-Verb: APPEND'], [...FOLLOWERS.slice(0, 4), ...READERS]],
  ['GET', '', [...HANDSHAKE, SUBPROTOCOL], [...APPENDERS.slice(0, 3), ...READERS]],
  ['GET', 'verb=APPEND&', [...HANDSHAKE, SUBPROTOCOL], [...FOLLOWERS.slice(0, 4), ...READERS]],
  ['GET', '', HANDSHAKE, [...APPENDERS.slice(0, 3), ...READERS]],
  ['PUT', '', [], [...FOLLOWERS, ...APPENDERS, ...READERS, 'verb=FOLLOW']],
  ['POST', '', [], [...FOLLOWERS, ...APPENDERS, ...READERS, 'verb=FOLLOW']],
  ['DELETE', '', [], [...FOLLOWERS, ...APPENDERS, ...READERS, 'verb=FOLLOW', 'verb=APPEND']],
] as const;

describe('a query parameter of this server', () => {
  it.each(MEANINGLESS)(
    'that means nothing to %s with %j and %j is refused, and the answer says what has it',
    async (method, query, headers, parameters) => {
      for (const parameter of parameters) {
        const line = `${method} /f.txt?${query}${parameter} HTTP/1.1`;
        const body = method === 'POST' || method === 'PUT' ? ['Content-Length: 0'] : [];
        const answer = await rawRequest(server.port, line, [...headers, ...body, 'Accept: text/plain']);
        expect([line, answer.status]).toEqual([line, 400]);
        const what = parameter.startsWith('verb') ? parameter.slice(5) : parameter.split('=', 1)[0];
        if (method !== 'HEAD')
          expect(answer.body).toMatch(new RegExp(`\\b${what} goes with .*(verb|GET|PUT)`));
      }
      expect(await readFile(path.join(server.root, 'f.txt'), 'utf8')).toBe(CONTENT);
      expect((await readdir(server.root)).filter((name) => name !== '.httpfstream')).toEqual(['f.txt']);
    },
  );

  it.each([
    'verb=FOLLOW&lines=1&lines=2',
    'verb=FOLLOW&lines=1&lines=1',
    'offset=-1&offset=-1',
    'verb=FOLLOW&verb=FOLLOW',
  ])('that comes twice is refused: %s', async (query) => {
    const answer = await send('GET', server.url(`/f.txt?${query}`));
    expect([answer.status, answer.code]).toEqual([400, 'HFS_INVALID_REQUEST']);
  });

  it.each([
    ['GET', 'verb=FOLLOW&from=4&generation=&x=1', 400],
    ['GET', 'verb=FOLLOW&from=4&wait=1', 200],
    ['GET', 'verb=FOLLOW&lines=1', 200],
    ['HEAD', 'verb=FOLLOW&lines=1', 200],
    ['GET', 'offset=-1', 200],
    ['HEAD', 'offset=-1&cursor=7', 200],
    ['GET', 'cursor=7', 400],
    ['OPTIONS', 'verb=APPEND&lines=1', 204],
  ])('counts where it means something: %s with %s is %d', async (method, query, status) => {
    expect((await send(method, server.url(`/f.txt?${query}`))).status).toBe(status);
  });

  it('is one only in its own case, and others are nobody’s business', async () => {
    for (const query of [
      'Lines=1',
      'LINES=1',
      'page=2&page=3',
      '__proto__=1',
      'constructor=1',
      '%zz',
      '&&=&',
      'x[]=1',
    ]) {
      const answer = await send('GET', server.url(`/f.txt?${query}`));
      expect([query, answer.status, answer.text]).toEqual([query, 200, CONTENT]);
    }
  });
});

describe('a POST by who may have meant to append to a file', () => {
  it.each([
    ['without a type', {}],
    ['with an empty type', { 'content-type': '' }],
    ['with the type that curl gives it', { 'content-type': 'application/x-www-form-urlencoded' }],
  ])('%s tells of the verb', async (_how, headers) => {
    for (const urlPath of ['/f.txt', '/missing.txt']) {
      const answer = await send('POST', server.url(urlPath), { headers, body: 'more' });
      expect([400, 404, 409]).toContain(answer.status);
      expect(answer.text).toContain('?verb=APPEND');
    }
    expect(await readFile(path.join(server.root, 'f.txt'), 'utf8')).toBe(CONTENT);
  });

  it('of another type is not told', async () => {
    const answer = await send('POST', server.url('/missing.txt'), {
      headers: { 'content-type': 'text/plain' },
      body: 'more',
    });
    expect([answer.status, answer.text.includes('verb')]).toEqual([404, false]);
  });
});

describe('a JSON document that is answered', () => {
  it('ends with a line end', async () => {
    await send('PUT', server.url('/values'), {
      headers: { 'content-type': 'application/json' },
      body: '[1,2]',
    });
    for (const answer of [
      await send('GET', server.url('/missing')),
      await send('GET', server.url('/'), { headers: { accept: 'application/json' } }),
      await send('PUT', server.url('/new?verb=APPEND'), { body: 'x' }),
      await send('GET', server.url('/values')),
      await send('GET', server.url(`/${'x'.repeat(20_000)}`)),
    ]) {
      expect(answer.headers['content-type']).toMatch(/json/);
      expect(answer.text).toMatch(/^[[{].*[\]}]\n$/);
    }
    expect((await send('GET', server.url('/values?offset=-1'))).text).toBe('[1,2]');
  });
});
