import { appendFile, truncate } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { rememberedIn } from '../support/core/stored-records.ts';
import { Download, Upload } from '../support/http/bodies.ts';
import { openSocket, readToEnd, writeHead } from '../support/http/raw.ts';
import { get, head, jsonOf, send, upload } from '../support/http/request.ts';
import { NEVER_MS } from '../support/patience.ts';
import { startServer, type TestServer, temporaryDirectory } from '../support/server/server.ts';
import { serverForAll } from '../support/server/server-for-all.ts';
import { ServerProcess } from '../support/server/server-process.ts';
import { waitFor } from '../support/wait-for.ts';
import { Peer } from '../support/websocket/peer.ts';
import { sessionOf, V2Peer } from '../support/websocket/v2-peer.ts';

const common = serverForAll();

const session = sessionOf('a');
const THREE = '{"status":3}';

type Target = Pick<TestServer, 'url'>;

/** Appends, and ends cleanly with a reason in the close frame. */
async function appendAndClose(server: Target, bytes: string, reason = ''): Promise<void> {
  const appender = await V2Peer.append(server.url('/f'), { session });
  if (bytes !== '') await appender.send(bytes);
  appender.websocket.close(1000, reason);
  await appender.closed();
  expect(appender.closeCode).toBe(1000);
}

/** What a follower is told at the end of what nobody appends to. */
async function endOf(server: Target) {
  const follower = await V2Peer.follow(server.url('/f'));
  await follower.closed();
  return follower.end;
}

/** Appends by the Durable Streams protocol, outside of any session. */
async function appendOnce(server: Target): Promise<void> {
  const headers = { 'content-type': 'application/octet-stream' };
  expect((await upload(server.url('/f'), 'more', { method: 'POST', headers })).status).toBe(204);
}

const headerOf = async (server: Target) => (await head(server.url('/f'))).headers['stream-status'];

describe('the status of a command', () => {
  it('that its appender tells when it closes is in the end of the stream, live and later, and in HEAD and GET', async () => {
    const server = await common.guest();
    const live = await V2Peer.follow(server.url('/f'), { wait: 60 });
    await appendAndClose(server, 'built', THREE);
    await live.closed();
    expect(live.end).toEqual({ type: 'end', position: 5, reason: 'finished', status: 3 });
    expect(live.closeCode).toBe(1000);
    expect(await endOf(server)).toEqual(live.end);
    expect(await headerOf(server)).toBe('3');
    expect((await get(server.url('/f'))).headers['stream-status']).toBe('3');
    const etag = String((await head(server.url('/f'))).headers.etag);
    expect((await get(server.url('/f'), { 'if-none-match': etag })).headers['stream-status']).toBe('3');
  });

  it.each([
    ['0', '{"status":0}', '0'],
    ['255', '{"status":255}', '255'],
    ['none', '', undefined],
    ['words for people', 'done', undefined],
    ['JSON that says something else', '{"code":3}', undefined],
    ['null', 'null', undefined],
    ['more than 255', '{"status":256}', undefined],
    ['less than 0', '{"status":-1}', undefined],
    ['a fraction', '{"status":1.5}', undefined],
    ['text', '{"status":"3"}', undefined],
  ])('is what the close frame says, if that is one: %s', async (_, reason, expected) => {
    const server = await common.guest();
    await appendAndClose(server, 'x', reason);
    expect(await headerOf(server)).toBe(expected);
    const end = await endOf(server);
    expect(end).toMatchObject({ reason: 'finished' });
    expect(end?.status).toBe(expected === undefined ? undefined : Number(expected));
  });

  it('is none of an append that did not finish, nor of one that goes on', async () => {
    const server = await common.guest();
    const appender = await V2Peer.append(server.url('/f'));
    expect(await headerOf(server)).toBeUndefined();
    appender.websocket.close(1001, THREE);
    await appender.closed();
    expect(await headerOf(server)).toBeUndefined();
    expect(await endOf(server)).toEqual({ type: 'end', position: 0, reason: 'interrupted' });
  });

  it('is not taken from legacy appenders, whose words mean nothing', async () => {
    const server = await startServer();
    const appender = await Peer.connect(server.url('/f'), 'APPEND');
    appender.websocket.close(1000, THREE);
    await waitFor(async () => (await rememberedIn(server.root)).f?.state === 'finished', 'the end');
    expect(await headerOf(server)).toBeUndefined();
  });

  it('is replaced by that of a later append, and gone while that goes on, and when that tells none', async () => {
    const server = await common.guest();
    await appendAndClose(server, 'one', THREE);
    await appendAndClose(server, 'two', '{"status":4}');
    expect(await headerOf(server)).toBe('4');
    const appender = await V2Peer.append(server.url('/f'));
    expect(await headerOf(server)).toBeUndefined();
    await appender.finish();
    expect(await headerOf(server)).toBeUndefined();
    expect(await endOf(server)).toEqual({ type: 'end', position: 6, reason: 'finished' });
  });

  it.each<[string, (server: TestServer) => Promise<unknown>, string]>([
    ['a single append', appendOnce, 'finished'],
    ['another program', ({ root }) => appendFile(path.join(root, 'f'), 'more'), 'finished'],
    ['a cut', ({ root }) => truncate(path.join(root, 'f'), 2), 'interrupted'],
  ])('is none any more when the file was changed since by %s', async (_, change, reason) => {
    const server = await common.guest();
    await appendAndClose(server, 'one', THREE);
    await change(server);
    expect(await headerOf(server)).toBeUndefined();
    const end = await endOf(server);
    expect([end?.reason, end?.status]).toEqual([reason, undefined]);
  });

  it('stays when a handshake that was repeated on the way opens the append once more and is lost', async () => {
    const server = await startServer();
    await appendAndClose(server, 'one', THREE);
    const repeated = await V2Peer.append(server.url('/f'), { session });
    repeated.cut();
    await waitFor(async () => (await rememberedIn(server.root)).f?.state === 'finished', 'the end');
    expect(await endOf(server)).toMatchObject({ reason: 'finished', status: 3 });
  });

  it('stays when the server is killed while such a handshake has it open', async () => {
    const root = await temporaryDirectory();
    const first = await ServerProcess.start(root);
    await appendAndClose(first, 'one', THREE);
    await V2Peer.append(first.url('/f'), { session });
    await first.stop('SIGKILL');
    const server = await startServer({ root, graceMs: NEVER_MS });
    expect(await endOf(server)).toMatchObject({ reason: 'finished', status: 3 });
    expect(await headerOf(server)).toBe('3');
  });

  it('survives a restart', async () => {
    const first = await startServer();
    await appendAndClose(first, 'one', THREE);
    await first.app.close();
    const server = await startServer({ root: first.root });
    expect(await endOf(server)).toMatchObject({ reason: 'finished', status: 3 });
    expect(await headerOf(server)).toBe('3');
  });

  it('stays when the stream is closed', async () => {
    const server = await common.guest();
    await appendAndClose(server, 'one', THREE);
    const closed = await send('POST', server.url('/f'), { headers: { 'stream-closed': 'true' } });
    expect(closed.status).toBe(204);
    expect(await headerOf(server)).toBe('3');
  });

  it('is in the listing, in both forms', async () => {
    const server = await startServer();
    await upload(server.url('/bad?verb=APPEND'), 'x', { headers: { 'stream-status': '3' } });
    await upload(server.url('/good?verb=APPEND'), 'x', { headers: { 'stream-status': '0' } });
    await upload(server.url('/plain?verb=APPEND'), 'x');
    const answer = await get(server.url('/'), { accept: 'application/json' });
    const { entries } = jsonOf<{ entries: Record<string, unknown>[] }>(answer);
    expect(entries.map(({ name, status }) => [name, status])).toEqual([
      ['bad', 3],
      ['good', 0],
      ['plain', undefined],
    ]);
    expect(entries[2]).not.toHaveProperty('status');
    const page = (await get(server.url('/'))).body.toString();
    expect(page).toContain('>bad</a> <b>status 3</b><td>');
    expect(page).toContain('>good</a> <i>status 0</i><td>');
    expect(page).toContain('>plain</a><td>');
  });
});

describe('the status of a command over plain HTTP', () => {
  it('is a trailer of what is followed, and also a header of what had ended before', async () => {
    const server = await common.guest();
    const appender = await V2Peer.append(server.url('/f'), { 'content-type': 'text/plain' });
    const follower = await Download.open(server.url('/f?verb=FOLLOW'));
    expect(follower.headers).toMatchObject({ trailer: 'stream-status' });
    expect(follower.headers).not.toHaveProperty('stream-status');
    appender.websocket.close(1000, THREE);
    expect(await follower.untilEnd()).toBe('clean');
    expect(follower.trailers).toEqual({ 'stream-status': '3' });

    const late = await Download.open(server.url('/f?verb=FOLLOW'));
    expect(await late.untilEnd()).toBe('clean');
    expect([late.headers['stream-status'], late.trailers['stream-status']]).toEqual(['3', '3']);
  });

  it('is not there for what finished without one, nor in the body of HTTP/1.0', async () => {
    const server = await startServer();
    await appendAndClose(server, 'one');
    const follower = await Download.open(server.url('/f?verb=FOLLOW'));
    expect(await follower.untilEnd()).toBe('clean');
    expect(follower.trailers).toEqual({});
    await appendAndClose(server, 'two', THREE);
    const socket = await openSocket(server.port);
    writeHead(socket, 'GET /f?verb=FOLLOW HTTP/1.0');
    const [head = '', body] = (await readToEnd(socket)).toString().split('\r\n\r\n');
    expect(body).toBe('onetwo');
    expect(head).toContain('\r\nstream-status: 3');
    expect(head).not.toContain('trailer');
  });

  it('can be told by an appender in a header, or in a trailer, which wins', async () => {
    const server = await common.guest();
    await upload(server.url('/f?verb=APPEND'), 'x', { headers: { 'stream-status': '3' } });
    expect(await headerOf(server)).toBe('3');
    for (const headers of [{}, { 'stream-status': '3' }, { 'content-encoding': 'identity' }]) {
      const appender = new Upload(server.url('/f?verb=APPEND'), {
        headers: { trailer: 'stream-status', ...headers },
      });
      await appender.write('x');
      appender.request.addTrailers({ 'stream-status': '137' });
      expect((await appender.end()).status).toBe(200);
      expect(await headerOf(server)).toBe('137');
    }
  });

  it.each(['256', '-1', '1.5', 'x', '', '3, 4'])(
    'is refused with 400 when it is none (%j): in a header before anything is made, in a trailer as an interrupted append',
    async (status) => {
      const server = await common.guest();
      const refused = await upload(server.url('/f?verb=APPEND'), 'x', {
        headers: { 'stream-status': status },
      });
      expect([refused.status, jsonOf(refused).code]).toEqual([400, 'HFS_INVALID_REQUEST']);
      expect((await head(server.url('/f'))).status).toBe(404);

      const appender = new Upload(server.url('/f?verb=APPEND'), { headers: { trailer: 'stream-status' } });
      await appender.write('x');
      appender.request.addTrailers({ 'stream-status': status });
      expect((await appender.end()).status).toBe(400);
      expect(await endOf(server)).toEqual({ type: 'end', position: 1, reason: 'interrupted' });
    },
  );
});
