import type { Socket } from 'node:net';
import { describe, expect, test } from 'vitest';
import { client, nodeFetch, readable } from '../../src/http/index.node.ts';
import { rejection } from '../client/client-server.ts';
import { collectGarbage } from '../support/collect-garbage.ts';
import { FETCHES } from '../support/http/fetches.ts';
import { serve, serveRaw } from '../support/http/servers.ts';
import { waitFor, waitForStandstill } from '../support/wait-for.ts';

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

/** What the two ends of a connection may hold: loopback has buffers of megabytes. */
const BUFFERED_BYTES = 32 * MIB;

/** A body of 1 GiB, of which is counted what was asked for. */
function largeBody() {
  const counts = { madeBytes: 0, isEnded: false };
  const chunks = async function* () {
    try {
      while (counts.madeBytes < GIB) {
        counts.madeBytes += 65_536;
        yield new Uint8Array(65_536);
      }
    } finally {
      counts.isEnded = true;
    }
  };
  return { counts, chunks };
}

function heldBytes(): number {
  collectGarbage();
  return process.memoryUsage().arrayBuffers;
}

describe.each(FETCHES)('over %s', (_name, fetch) => {
  test('a server that reads nothing, or a little, is sent no more, and memory stays flat', async () => {
    const sockets: Socket[] = [];
    const url = await serveRaw((socket) => {
      socket.pause();
      sockets.push(socket);
    });
    const { counts, chunks } = largeBody();
    const before = heldBytes();
    const controller = new AbortController();
    const failed = rejection(
      client(url, { fetch }).post('/').body(chunks()).signal(controller.signal).send(),
    );
    await waitFor(() => sockets.length === 1, 'the request');
    await waitForStandstill(() => counts.madeBytes, 'the source to wait');
    expect(counts.madeBytes).toBeLessThan(BUFFERED_BYTES);
    for (let i = 0; i < 5; i++) sockets[0]?.read(1024);
    await waitForStandstill(() => counts.madeBytes, 'the source to wait');
    expect(counts.madeBytes).toBeLessThan(BUFFERED_BYTES);
    expect(heldBytes() - before).toBeLessThan(BUFFERED_BYTES);
    controller.abort(new Error('enough'));
    expect(await failed).toMatchObject({ message: 'enough' });
    await waitFor(() => counts.isEnded, 'the source to be ended');
  });

  test('a reader that stands still is sent no more, and memory stays flat', async () => {
    let sentBytes = 0;
    let isClosed = false;
    const url = await serve((_request, response) => {
      const block = Buffer.alloc(65_536);
      response.on('close', () => {
        isClosed = true;
      });
      const send = () => {
        while (sentBytes < GIB) {
          sentBytes += block.length;
          if (!response.write(block)) return;
        }
      };
      response.on('drain', send);
      send();
    });
    const before = heldBytes();
    const response = await client(url, { fetch })
      .get('/')
      .progress(() => {})
      .send();
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    await reader.read();
    await waitForStandstill(() => sentBytes, 'the server to wait');
    expect(sentBytes).toBeLessThan(BUFFERED_BYTES);
    expect(heldBytes() - before).toBeLessThan(BUFFERED_BYTES);
    await reader.cancel();
    await waitFor(() => isClosed, 'the connection to be closed');
  });

  test('a slow side slows the other one: from a server to another', async () => {
    let sentBytes = 0;
    const from = await serve((_request, response) => {
      const send = () => {
        for (;;) {
          sentBytes += 65_536;
          if (!response.write(Buffer.alloc(65_536))) return;
        }
      };
      response.on('drain', send);
      send();
    });
    const sockets: Socket[] = [];
    const to = await serveRaw((socket) => {
      socket.pause();
      sockets.push(socket);
    });
    const controller = new AbortController();
    const answer = await client(from, { fetch }).get('/').send();
    const upload = client(to, { fetch })
      .multipart('/')
      .file('a', 'a', answer)
      .signal(controller.signal)
      .send();
    const failed = rejection(upload);
    await waitFor(() => sockets.length > 0, 'the upload');
    await waitForStandstill(() => sentBytes, 'the first server to wait');
    expect(sentBytes).toBeLessThan(2 * BUFFERED_BYTES);
    controller.abort(new Error('enough'));
    expect(await failed).toMatchObject({ message: 'enough' });
  });
});

test('a Node stream of an answer is read no further than it is asked for, and ends with it', async () => {
  let sentBytes = 0;
  let isClosed = false;
  const url = await serve((_request, response) => {
    response.on('close', () => {
      isClosed = true;
    });
    const send = () => {
      for (;;) {
        sentBytes += 65_536;
        if (!response.write(Buffer.alloc(65_536))) return;
      }
    };
    response.on('drain', send);
    send();
  });
  const fetch = nodeFetch();
  const stream = readable(await client(url, { fetch }).get('/').send());
  stream.read(0);
  await waitForStandstill(() => sentBytes, 'the server to wait');
  expect(sentBytes).toBeLessThan(BUFFERED_BYTES);
  stream.destroy();
  await waitFor(() => isClosed, 'the connection to be closed');
});
