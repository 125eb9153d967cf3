import { once } from 'node:events';
import { truncate, writeFile } from 'node:fs/promises';
import http, { type ServerResponse } from 'node:http';
import net, { type AddressInfo } from 'node:net';
import path from 'node:path';
import { Writable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { FileBody } from '../../../src/server/response/file-body.ts';
import { Root } from '../../../src/storage/root/root.ts';
import type { StoredFile } from '../../../src/storage/stored-file.ts';
import { ResourcePath } from '../../../src/wire/resource-path.ts';
import { temporaryDirectory } from '../../support/server/server.ts';
import { waitFor, waitForStandstill } from '../../support/wait-for.ts';

const KiB = 1024;
const SIZE = 8 * KiB * KiB;

async function openFile() {
  const directory = await temporaryDirectory();
  const content = Buffer.alloc(SIZE, 'some bytes, ');
  await writeFile(path.join(directory, 'f'), content);
  const file = await (await Root.open(directory)).openRead(ResourcePath.parse('/f'));
  onTestFinished(() => file.close());
  return { file, content, name: path.join(directory, 'f'), read: vi.spyOn(file, 'read') };
}

/** A server that gives each request to `answer`. */
async function serve(answer: (response: ServerResponse) => void) {
  const server = http.createServer((_request, response) => answer(response)).listen(0, '127.0.0.1');
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const get = async () => {
    const [response] = await once(http.get({ port, host: '127.0.0.1' }), 'response');
    return { response, body: () => buffer(response) };
  };
  return { port, get };
}

/** The memory into which a file is read, as far as it is not used again. */
function memoryOf(file: StoredFile) {
  const memory = new Set<ArrayBufferLike>();
  const { readInto } = file;
  const reading = vi.spyOn(file, 'readInto');
  reading.mockImplementation((block, position) => {
    memory.add(block.buffer);
    return readInto.call(file, block, position);
  });
  return { reading, sizes: () => Array.from(memory, ({ byteLength }) => byteLength / KiB) };
}

/** A client that takes so many blocks and then stalls; resolves when it does. */
function stall(stream: NodeJS.ReadableStream, blocks: number): Promise<Writable> {
  return new Promise((resolve) => {
    let taken = 0;
    const client = new Writable({
      highWaterMark: 1,
      write(_block, _encoding, taking) {
        taken++;
        if (taken <= blocks) taking();
        else setImmediate(() => setImmediate(resolve, client));
      },
    });
    stream.pipe(client);
  });
}

describe('pieces of a file', () => {
  it('come in order and as they are', async () => {
    const { file, content } = await openFile();
    const pieces = [
      Buffer.from('head'),
      { start: 5, end: SIZE - 7 },
      Buffer.from('tail'),
      { start: 0, end: 3 },
    ];
    const all = await buffer(new FileBody(file, pieces));
    const expected = [
      Buffer.from('head'),
      content.subarray(5, -7),
      Buffer.from('tail'),
      content.subarray(0, 3),
    ];
    expect(all.equals(Buffer.concat(expected))).toBe(true);
  });

  it('are read as they are taken: a client that takes nothing holds one small block', async () => {
    const { file, read } = await openFile();
    const stream = new FileBody(file, [{ start: 0, end: SIZE }]);
    await stall(stream, 0);
    expect(read.mock.calls).toEqual([[0, 64 * KiB]]);
    stream.destroy();
  });

  it('come in larger blocks to a client that goes on taking them', async () => {
    const { file, read } = await openFile();
    const stream = new FileBody(file, [{ start: 0, end: SIZE }]);
    await stall(stream, 5);
    expect(read.mock.calls.map(([, length]) => length / KiB)).toEqual([64, 128, 256, 512, 1024, 1024]);
    stream.destroy();
  });
});

describe('pieces of a file in an answer', () => {
  it('arrive in order and as they are, also over a connection that is used again', async () => {
    const { file, content } = await openFile();
    const head = Buffer.from('head');
    const pieces = [head, { start: 5, end: SIZE - 7 }, head, { start: 0, end: 3 }, { start: 9, end: 99 }];
    const expected = [head, content.subarray(5, -7), head, content.subarray(0, 3), content.subarray(9, 99)];
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    onTestFinished(() => agent.destroy());
    const { port } = await serve((response) => new FileBody(file.share(), pieces).pipe(response));
    for (let i = 0; i < 3; i++) {
      const [response] = await once(http.get({ port, host: '127.0.0.1', agent }), 'response');
      expect((await buffer(response)).equals(Buffer.concat(expected))).toBe(true);
    }
  });

  it('are read into the same few blocks, the first of which is small', async () => {
    const { file, content } = await openFile();
    const { sizes } = memoryOf(file);
    const { get } = await serve((response) => new FileBody(file, [{ start: 0, end: SIZE }]).pipe(response));
    const { body } = await get();
    expect((await body()).equals(content)).toBe(true);
    expect(sizes()).toEqual([64, 128, 256, 512, 512]);
  });

  it('are read no further than the system takes them, into 1 MiB at most', async () => {
    const { file } = await openFile();
    const { reading, sizes } = memoryOf(file);
    const long = Array.from({ length: 100 }, () => ({ start: 0, end: SIZE }));
    const body = new FileBody(file, long);
    const { get } = await serve((response) => body.pipe(response));
    const { response } = await get();
    await waitForStandstill(() => reading.mock.calls.length, 'the system to take nothing more');
    expect(sizes().filter((size) => size === 512).length).toBeLessThanOrEqual(2);
    expect(Math.max(...sizes())).toBeLessThanOrEqual(512);
    response.destroy();
    await once(body, 'close');
  });

  it('arrive in small blocks at whoever has taken long for a large one', async () => {
    const { file } = await openFile();
    const { reading } = memoryOf(file);
    const long = Array.from({ length: 100 }, () => ({ start: 0, end: SIZE }));
    const body = new FileBody(file, long);
    const { get } = await serve((response) => body.pipe(response));
    const { response } = await get();
    await waitForStandstill(() => reading.mock.calls.length, 'the system to take nothing more');
    const before = reading.mock.calls.length;
    const now = performance.now.bind(performance);
    const later = vi.spyOn(performance, 'now').mockImplementation(() => now() + 2000);
    response.once('data', () => undefined);
    const lengths = () => reading.mock.calls.map(([block]) => block.length);
    await waitFor(
      () =>
        lengths()
          .slice(before)
          .includes(64 * KiB),
      'a small block',
    );
    later.mockRestore();
    response.destroy();
    await once(body, 'close');
    expect(lengths()[before - 1]).toBe(512 * KiB);
  });

  it('arrive in small blocks when others have taken what is there for large ones', async () => {
    const { file, content } = await openFile();
    while (file.blocks.lend(1).extend(64 * KiB));
    const { sizes } = memoryOf(file);
    const { get } = await serve((response) => new FileBody(file, [{ start: 0, end: SIZE }]).pipe(response));
    const { body } = await get();
    expect((await body()).equals(content)).toBe(true);
    expect(sizes()).toEqual([64]);
  });

  it('give back what was lent for large blocks when they have been sent, or nobody takes them any more', async () => {
    const { file } = await openFile();
    const { port, get } = await serve((response) =>
      new FileBody(file.share(), [{ start: 0, end: SIZE }]).pipe(response),
    );
    for (let i = 0; i < 20; i++) await (await get()).body();
    for (let i = 0; i < 20; i++) {
      const socket = net.connect(port, '127.0.0.1');
      socket.write('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
      await once(socket, 'data');
      socket.destroy();
    }
    await waitFor(() => !file.isShared, 'the file to be closed');
    const rest = file.blocks.lend(1);
    expect(rest.extend(16 * KiB * KiB)).toBe(true);
    rest.release();
  });

  it('break off when the file turns out to be shorter', async () => {
    const { file, name } = await openFile();
    const failed = vi.fn();
    const { get } = await serve((response) => {
      response.setHeader('content-length', SIZE);
      const body = new FileBody(file, [{ start: 0, end: SIZE }]);
      body.on('error', (error) => {
        failed(error.message);
        response.destroy();
      });
      body.pipe(response);
    });
    await truncate(name, 100_000);
    const { body } = await get();
    await expect(body()).rejects.toThrow('aborted');
    expect(failed).toHaveBeenCalledWith('the file has become shorter while it was read');
  });

  it('wait for the answers before them on their connection', async () => {
    const { file, content } = await openFile();
    const waiting: (() => void)[] = [];
    const { reading } = memoryOf(file);
    const { port } = await serve((response) => {
      if (waiting.length === 0) waiting.push(() => response.end('first'));
      else {
        response.setHeader('connection', 'close').setHeader('content-length', SIZE);
        new FileBody(file, [{ start: 0, end: SIZE }]).pipe(response);
        waiting.push(() => undefined);
      }
    });
    const socket = net.connect(port, '127.0.0.1');
    socket.write('GET / HTTP/1.1\r\nHost: h\r\n\r\n'.repeat(2));
    await waitFor(() => waiting.length === 2, 'both requests');
    expect(reading).not.toHaveBeenCalled();
    waiting[0]?.();
    const all = await buffer(socket);
    expect(all.includes('first')).toBe(true);
    expect(all.subarray(-SIZE).equals(content)).toBe(true);
  });
});
