import fs from 'node:fs';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, assert, describe, expect, it, vi } from 'vitest';
import { ActiveConnections, DRAIN_TIMEOUT_MS } from '../../src/server/active-connections.ts';
import { HttpFollow } from '../../src/server/http/follow.ts';
import { openSocket, rawGet, rawRequest, readHead, readToEnd, writeHead } from '../support/http/raw.ts';
import { startServer } from '../support/server/server.ts';
import { waitFor, waitForStandstill } from '../support/wait-for.ts';
import { V2Peer } from '../support/websocket/v2-peer.ts';

const MiB = 1024 * 1024;
const SIZE = 4 * MiB;

const refusal = () => Object.assign(new Error('EIO: i/o error, read'), { code: 'EIO' });

/** Makes the disk give nothing from a position on. */
function breakDisk(from: number): void {
  const read = fs.read.bind(fs) as (...args: unknown[]) => void;
  vi.spyOn(fs, 'read').mockImplementation(((...args: unknown[]) => {
    const [position, callback] = args.slice(-2) as [number, (error: Error) => void];
    if (position >= from) setImmediate(callback, refusal());
    else read(...args);
  }) as typeof fs.read);
  const { readSync } = fs;
  vi.spyOn(fs, 'readSync').mockImplementation(((...args: Parameters<typeof readSync>) => {
    if (Number(args.at(-1)) >= from) throw refusal();
    return readSync(...args);
  }) as typeof readSync);
}

afterEach(() => {
  vi.restoreAllMocks();
});

async function serve() {
  const server = await startServer();
  await writeFile(path.join(server.root, 'small'), 'small');
  await writeFile(path.join(server.root, 'large'), Buffer.alloc(SIZE, 'x\n'));
  return server;
}

describe('a disk that gives an error', () => {
  it.each([
    ['a file', '/small'],
    ['a large file', '/large'],
    ['a range', '/large?x', 'Range: bytes=1000-3000000'],
    ['a stream from an offset', '/small?offset=-1'],
    ['a large stream from an offset', '/large?offset=-1'],
    ['the last lines', '/small?verb=FOLLOW&lines=1'],
    ['the last lines of a large file', '/large?verb=FOLLOW&lines=100'],
  ])('is told as such of %s', async (_what, urlPath, ...headers) => {
    const { port } = await serve();
    breakDisk(0);
    const answer = await rawGet(port, urlPath, headers);
    expect(answer.status).toBe(500);
    expect(JSON.parse(answer.body)).toMatchObject({ code: 'HFS_STORAGE_ERROR' });
    expect(answer.body).not.toContain('EIO');
  });

  it('is told as such of a directory', async () => {
    const { port } = await serve();
    vi.spyOn(fs.promises, 'opendir').mockRejectedValue(refusal());
    const answer = await rawGet(port, '/', ['Accept: application/json']);
    expect([answer.status, JSON.parse(answer.body).code]).toEqual([500, 'HFS_STORAGE_ERROR']);
  });

  it.each([
    ['a file', '/large', 'HTTP/1.1'],
    ['a file over HTTP/1.0', '/large', 'HTTP/1.0'],
    ['a stream from an offset', '/large?offset=-1', 'HTTP/1.1'],
  ])('breaks the answer off when it comes in the middle of %s', async (_what, urlPath, version) => {
    const { port } = await serve();
    breakDisk(3 * MiB);
    const socket = await openSocket(port);
    writeHead(socket, `GET ${urlPath} ${version}`);
    const answer = await readToEnd(socket);
    expect(answer.toString('latin1', 0, 500)).toContain(`content-length: ${SIZE}`);
    expect(answer.length).toBeLessThan(SIZE);
  });

  it('is told to a follower as the end of an append that was interrupted', async () => {
    const server = await serve();
    breakDisk(MiB);
    const follower = await V2Peer.connect(server.url('/large'), 'FOLLOW');
    await follower.closed();
    expect(follower.ending).toEqual(['interrupted', 1011]);
    expect(follower.end).toMatchObject({ detail: "the server's file system refused" });
  });

  it('ends the answer of a follower over HTTP before its end', async () => {
    const { port } = await serve();
    breakDisk(MiB);
    const answer = rawRequest(port, 'GET /large?verb=FOLLOW HTTP/1.1');
    await expect(answer.then(({ body }) => body.length)).resolves.toBeLessThan(SIZE);
  });

  it.each(['HTTP/1.0', 'HTTP/1.1'])(
    'does not keep a follower for ever that takes nothing of what it was sent: %s',
    async (version) => {
      const adding = vi.spyOn(ActiveConnections.prototype, 'add');
      const server = await startServer();
      const appender = await V2Peer.append(server.url('/live'));
      const socket = await openSocket(server.port);
      writeHead(socket, `GET /live?verb=FOLLOW ${version}`);
      await readHead(socket);
      socket.pause();
      const [follow] = adding.mock.calls.flat().filter((connection) => connection instanceof HttpFollow);
      assert(follow !== undefined);
      appender.websocket.send(Buffer.alloc(16 * MiB));
      const sending = vi.spyOn(follow, 'write');
      const isFull = () => sending.mock.results.some(({ value }) => value === false);
      await waitFor(isFull, 'the follower to be in the way');
      await waitForStandstill(() => sending.mock.calls.length, 'the system to take no more of it');
      follow.fail(refusal());
      follow.keepAlive(DRAIN_TIMEOUT_MS);
      expect(follow.isOver).toBe(false);
      follow.keepAlive(DRAIN_TIMEOUT_MS);
      await waitFor(() => follow.isOver, 'the end of the connection');
    },
  );
});
