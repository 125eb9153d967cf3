import { expect, test } from 'vitest';
import { bearer, client, text } from '../../../src/http/index.node.ts';
import { rejection } from '../../client/client-server.ts';
import { FETCHES } from '../../support/http/fetches.ts';
import { serve } from '../../support/http/servers.ts';

test.each(FETCHES)(
  'a token is sent to the origin of the base, and to no other, over %s',
  async (_name, fetch) => {
    const told = await serve((request, response) => response.end(String(request.headers.authorization)));
    const url = await serve((request, response) => {
      const { authorization } = request.headers;
      if (request.url === '/away') response.writeHead(302, { location: told }).end();
      else if (request.url === '/home') response.writeHead(302, { location: '/' }).end();
      else response.end(authorization);
    });
    for (const token of ['a token', () => 'a token', async () => 'a token']) {
      const own = client(url, { fetch }).use(bearer(token));
      expect(await text(await own.get('/').send())).toBe('Bearer a token');
      expect(await text(await own.get('/home').send())).toBe('Bearer a token');
      expect(await text(await own.get('/away').send())).toBe('undefined');
      expect(await text(await own.get('/').header('authorization', 'of its own').send())).toBe('of its own');
    }
  },
);

test('a token that cannot be had fails the request', async () => {
  const own = client('http://a').use(
    bearer(async () => {
      throw new Error('no token');
    }),
  );
  expect(await rejection(own.get('/').send())).toMatchObject({ message: 'no token' });
});
