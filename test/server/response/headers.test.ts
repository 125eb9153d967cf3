import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { FastifyRequest } from 'fastify';
import { describe, expect, it } from 'vitest';
import { userContentHeaders } from '../../../src/server/response/headers.ts';
import { get, head } from '../../support/http/request.ts';
import { startServer } from '../../support/server/server.ts';
import { openAppender } from '../../support/websocket/appends.ts';

const requestWith = (config: { pageScripts?: boolean }) =>
  ({ routeOptions: { config } }) as Pick<FastifyRequest, 'routeOptions'>;

const policyOf = (type: string, config = {}) =>
  userContentHeaders(requestWith(config), type)['content-security-policy'];

describe('what users have brought', () => {
  it.each([
    'text/html',
    'text/html; charset=utf-8',
    'TEXT/HTML',
    ' text/html',
    'application/xhtml+xml',
    'image/svg+xml',
    'image/svg+xml; charset=utf-8',
    'text/xml',
    'application/xml',
    'application/atom+xml',
    'image/x+xml',
    'text/xsl',
    'application/pdf; charset=utf-8',
    'multipart/x-mixed-replace; boundary=b',
    'multipart/related',
    'message/rfc822',
    'text/plain; charset=utf-8',
    'application/octet-stream',
    'application/json',
    'text/event-stream',
    // Of a list, browsers take the last.
    'video/mp4, text/html',
    'image/png;, text/html',
    'image/png text/html',
    '',
  ])('is nobody\'s page as "%s"', (type) => {
    const policy = policyOf(type) ?? '';
    expect(policy.split(' ')[0]).toBe('sandbox');
    expect(policy).not.toContain('allow-same-origin');
    expect(policy).not.toMatch(/allow-(forms|modals|scripts|top-navigation)/);
    expect(policyOf(type, { pageScripts: true })).toBe(`${policy} allow-scripts`);
  });

  it.each([
    'image/png',
    'image/jpeg',
    'audio/mpeg',
    'video/mp4',
    'video/x-matroska',
    'image/vnd.microsoft.icon',
    // In the sandbox no browser shows it.
    'application/pdf',
  ])('is no page as "%s": it can be shown and played', (type) => {
    expect(policyOf(type)).toBeUndefined();
  });

  it('is of the type that it says, and no other', () => {
    for (const type of ['text/plain', 'image/png']) {
      expect(userContentHeaders(requestWith({}), type)['x-content-type-options']).toBe('nosniff');
    }
  });
});

describe('a page that somebody has stored', () => {
  const HTML = '<p>report';

  it.each([
    ['by its name', 'report.html', undefined],
    ['by its name, in capitals', 'REPORT.HTM', undefined],
    ['as a picture', 'picture.svg', undefined],
    ['as a feed', 'feed.atom', undefined],
    ['as a page of XML', 'page.xhtml', undefined],
    ['by the type of its stream', 'stream', 'text/html'],
    ['by the type of its stream, whatever the name says', 'stream.png', 'Text/HTML;charset=x'],
    ['by bytes that look like one', 'unnamed', undefined],
  ])("is nobody's page, %s, whatever way it is asked for", async (_how, name, type) => {
    const server = await startServer();
    const url = server.url(`/${name}`);
    const headers = { 'content-type': type ?? 'text/plain' };
    // A stream that is open would be followed for as long as that.
    const closed = { ...headers, 'stream-closed': 'true' };
    if (type !== undefined) await fetch(url, { method: 'PUT', headers: closed, body: HTML });
    else await writeFile(path.join(server.root, name), HTML);
    const whole = await get(url);
    const first = await get(`${url}?offset=-1`);
    const answers = [
      [200, whole],
      [200, first],
      [200, await head(url)],
      [200, await head(`${url}?offset=-1`)],
      [206, await get(url, { range: 'bytes=0-2' })],
      [206, await get(url, { range: 'bytes=0-0,2-3' })],
      [304, await get(url, { 'if-none-match': whole.headers.etag as string })],
      [304, await get(`${url}?offset=-1`, { 'if-none-match': first.headers.etag as string })],
      [200, await get(`${url}?verb=FOLLOW`)],
      [200, await get(`${url}?offset=-1&live=long-poll`)],
      [200, await get(`${url}?offset=now`)],
    ] as const;
    for (const [status, answer] of answers) {
      expect(answer.status).toBe(status);
      expect(answer.headers['content-security-policy']).toMatch(/^sandbox/);
      expect(answer.headers['content-security-policy']).not.toContain('allow-same-origin');
      expect(answer.headers['x-content-type-options']).toBe('nosniff');
      expect(answer.headers['content-disposition']).toBeUndefined();
    }
  });

  it("is nobody's page while it is being written", async () => {
    const server = await startServer();
    await openAppender(server, '/report.html', HTML);
    const { headers } = await fetch(server.url('/report.html'), {
      headers: { range: `bytes=0-${2 ** 53 - 1}` },
    });
    expect(headers.get('content-range')).toContain('/*');
    expect(headers.get('content-security-policy')).toMatch(/^sandbox/);
  });
});
