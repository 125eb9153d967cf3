import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { type Body, client, text } from '../../../src/http/index.node.ts';
import { rejection } from '../../client/client-server.ts';
import { FETCHES } from '../../support/http/fetches.ts';
import { serve } from '../../support/http/servers.ts';
import { waitFor, waitForStandstill } from '../../support/wait-for.ts';

/** What cannot be compressed. */
const NOISE = crypto.getRandomValues(new Uint8Array(65_536));

const PLAIN = 'what is sent '.repeat(20_000);

describe.each(FETCHES)('a body that is compressed on the way, over %s,', (_name, fetch) => {
  const start = async () => {
    const url = await serve(async (request, response) => {
      const body = await buffer(request);
      const { 'content-encoding': coding, 'content-length': length, 'content-type': type } = request.headers;
      response.end(
        JSON.stringify({
          coding,
          type,
          hasLength: length === String(body.length),
          isPlain: String(gunzipSync(body)) === PLAIN,
        }),
      );
    });
    return client(url, { fetch });
  };

  const halves = [PLAIN.slice(0, 50_000), PLAIN.slice(50_000)];

  test.each<[string, () => Body, boolean]>([
    ['text', () => PLAIN, true],
    ['bytes', () => new TextEncoder().encode(PLAIN), true],
    ['a Blob', () => new Blob([PLAIN]), false],
    ['a stream', () => Readable.from(halves), false],
    [
      'what a function makes',
      () =>
        async function* () {
          yield* halves;
        },
      false,
    ],
  ])('arrives: %s', async (_what, body, hasLength) => {
    const response = await (await start())
      .post('/')
      .body(body(), 'text/x')
      .header('content-length', '5')
      .gzip()
      .send();
    expect(JSON.parse(await text(response))).toEqual({
      coding: 'gzip',
      type: 'text/x',
      hasLength,
      isPlain: true,
    });
  });

  test('never looks complete when its source fails', async () => {
    let ends = 0;
    let isCut = false;
    let arrived = () => {};
    const arrival = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    const url = await serve((request) => {
      arrived();
      request
        .on('end', () => ends++)
        .on('close', () => {
          isCut = true;
        });
      request.resume();
    });
    const failing = async function* () {
      yield NOISE;
      yield NOISE;
      await arrival;
      throw new Error('cannot be read');
    };
    const failed = await rejection(client(url, { fetch }).post('/').body(failing()).gzip().send());
    expect(failed).toMatchObject({ message: 'cannot be read' });
    await waitFor(() => isCut, 'the request to be cut');
    expect(ends).toBe(0);
  });

  test('is made no faster than it is taken, and ended with the request', async () => {
    const url = await serve(() => undefined);
    const controller = new AbortController();
    let madeBytes = 0;
    let isEnded = false;
    const endless = async function* () {
      try {
        for (;;) {
          madeBytes += NOISE.length;
          yield NOISE;
        }
      } finally {
        isEnded = true;
      }
    };
    const failed = rejection(
      client(url, { fetch }).post('/').body(endless()).gzip().signal(controller.signal).send(),
    );
    await waitForStandstill(() => madeBytes, 'the source to wait');
    expect(madeBytes).toBeLessThan(64 * 1024 * 1024);
    controller.abort(new Error('enough'));
    expect(await failed).toMatchObject({ message: 'enough' });
    await waitFor(() => isEnded, 'the source to be ended');
  });
});

test('what a function makes is compressed anew for a redirect', async () => {
  let made = 0;
  const url = await serve(async (request, response) => {
    if (request.url === '/first') response.writeHead(307, { location: '/second' }).end();
    else response.end(gunzipSync(await buffer(request)));
  });
  const body = async function* () {
    made++;
    yield PLAIN;
  };
  const response = await client(url).post('/first').body(body).gzip().send();
  expect([await text(response), made]).toEqual([PLAIN, 2]);
});
