import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { append, follow, openAppend } from '../../../src/client/index.ts';
import { ChaosProxy, NO_CHAOS } from '../../support/chaos/proxy.ts';
import { get, send } from '../../support/http/request.ts';
import { Random } from '../../support/random.ts';
import { startOrigin, startRelay } from '../../support/relay/origin.ts';
import { headOf, ScriptedServer, say } from '../../support/relay/scripted.ts';
import { startServer, temporaryDirectory } from '../../support/server/server.ts';
import { waitFor } from '../../support/wait-for.ts';
import { V2Peer } from '../../support/websocket/v2-peer.ts';

const FRESH = { ETag: '"one"', 'Cache-Control': 'max-age=60' };

async function textOf(stream: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

describe('what has no place here, since something else has it, is passed on', () => {
  test('whichever of both was fetched first', async () => {
    const server = await ScriptedServer.start(({ line }, socket) => say(socket, '200 OK', FRESH, line));
    const relay = await startRelay(server.url);
    const ask = async (target: string) => {
      expect([target, await get(relay.url(target))]).toMatchObject([
        target,
        { status: 200, text: `GET ${target}` },
      ]);
    };
    for (const target of ['/file', '/file/below/x', '/dir/below/y', '/dir', '/dir/below']) {
      await ask(target);
      await ask(target);
    }
    await ask(`/${'n'.repeat(255)}/${'n'.repeat(255)}`);
    const asked = server.requests.length;
    for (const target of ['/file', '/dir/below/y']) await ask(target);
    expect(server.requests).toHaveLength(asked);
  });

  test('until what has it is gone, with the directories that were made for it', async () => {
    const server = await ScriptedServer.start(({ line }, socket) => say(socket, '200 OK', FRESH, line));
    const relay = await startRelay(server.url);
    for (const target of ['/a/b/c', '/a/d', '/e/f/g']) {
      expect(await get(relay.url(target))).toMatchObject({ text: `GET ${target}` });
    }
    for (const target of ['/a/b/c', '/e/f/g']) {
      expect((await fetch(relay.url(target), { method: 'DELETE' })).status).toBe(204);
    }
    const isDirectory = (name: string) =>
      stat(path.join(relay.root, name)).then(
        (found) => found.isDirectory(),
        () => false,
      );
    expect(await Promise.all(['a', 'a/b', 'e'].map(isDirectory))).toEqual([true, false, false]);
    for (const target of ['/a/b', '/e']) {
      expect(await get(relay.url(target))).toMatchObject({ text: `GET ${target}` });
      await waitFor(
        () => stat(path.join(relay.root, target)).then((found) => found.isFile()),
        'it to be kept',
      );
    }
  });

  test('unless nothing is in it, though a process before this one has made it', async () => {
    const server = await ScriptedServer.start(({ line }, socket) => say(socket, '200 OK', FRESH, line));
    const root = await temporaryDirectory();
    for (const name of ['there/x/y', 'own/x']) await mkdir(path.join(root, name), { recursive: true });
    const relay = await startRelay(`/there=${server.url}`, { root });
    expect((await get(relay.url('/there/x'))).text).toBe('GET /x');
    await waitFor(() => stat(path.join(root, 'there/x')).then((found) => found.isFile()), 'it to be kept');
    await fetch(relay.url('/there/x'), { method: 'DELETE' });
    await get(relay.url('/own/x'));
    expect(await Promise.all(['there', 'own'].map((name) => readdir(path.join(root, name))))).toEqual([
      [],
      ['x'],
    ]);
  });

  test('since its name is too long for a file, is passed on only if it comes from elsewhere', async () => {
    const server = await ScriptedServer.start(({ line }, socket) => say(socket, '200 OK', FRESH, line));
    const relay = await startRelay(`/there=${server.url}`);
    const name = 'n'.repeat(256);
    const { status, text } = await get(relay.url(`/there/%41${name}/f?q=1`));
    expect([status, text]).toEqual([200, `GET /%41${name}/f?q=1`]);
    expect(await get(relay.url(`/there/${name}`))).toMatchObject({ status: 200, text: `GET /${name}` });
    expect((await get(relay.url(`/${name}`))).status).toBe(400);
    expect((await fetch(relay.url(`/there/${name}`), { method: 'PUT' })).status).toBe(405);
  });

  test('of an httpfstream server, too', async () => {
    const origin = await startOrigin();
    const relay = await startRelay(origin.url(''));
    await append(origin.url('/a/b'), ['below']);
    await append(origin.url('/c'), ['file']);
    expect((await get(relay.url('/a/b'))).text).toBe('below');
    expect((await get(relay.url('/c'))).text).toBe('file');
    await rm(path.join(origin.root, 'a'), { recursive: true });
    await rm(path.join(origin.root, 'c'));
    await append(origin.url('/a'), ['file']);
    await append(origin.url('/c/d'), ['below']);
    for (const [target, text] of [
      ['/a', 'file'],
      ['/c/d', 'below'],
    ] as const) {
      expect((await get(relay.url(target))).text).toBe(text);
      expect(await textOf(follow(relay.url(target)))).toBe(text);
    }
  });
});

describe("a file of the relay's own", () => {
  test('is written where it is read', async () => {
    const origin = await startOrigin();
    const relay = await startServer({ upstreams: [{ url: origin.url(''), passAuthorization: true }] });
    const own = path.join(relay.root, 'own.txt');
    await writeFile(own, 'mine');
    const user = { authorization: 'Bearer x' };
    for (const headers of [{}, user]) {
      expect((await get(relay.url('/own.txt'), headers)).text).toBe('mine');
      const put = await send('PUT', relay.url('/own.txt?verb=APPEND'), { headers, body: ', too' });
      expect(put.status).toBe(200);
      await append(relay.url('/own.txt'), ['!'], { headers });
      expect(await readFile(own, 'utf8')).toBe('mine, too!');
      await writeFile(own, 'mine');
    }
    const deleted = await send('DELETE', relay.url('/own.txt'), { headers: { 'if-match': '"other"' } });
    expect(deleted.status).toBe(412);
    expect((await send('DELETE', relay.url('/own.txt'))).status).toBe(204);
    expect(origin.requests.filter((request) => request.includes('own.txt'))).toEqual([]);
    // From now on it is what is there.
    expect((await send('PUT', relay.url('/own.txt'), { body: 'there' })).status).toBe(201);
    expect((await get(origin.url('/own.txt'))).text).toBe('there');
  });

  test('is not deleted in the place of a copy', async () => {
    const server = await ScriptedServer.start((_request, socket) => say(socket, '200 OK', FRESH, 'x'));
    const relay = await startRelay(server.url);
    await writeFile(path.join(relay.root, 'own'), 'mine');
    await get(relay.url('/other'));
    const conditions = { 'if-match': '"other"' };
    expect((await send('DELETE', relay.url('/own'), { headers: conditions })).status).toBe(412);
    expect((await get(relay.url('/own'))).text).toBe('mine');
  });
});

test('a copy is deleted when it is what was meant, and what is still coming when its readers have it', async () => {
  let rest = () => {};
  const server = await ScriptedServer.start(({ number }, socket) => {
    if (number > 0) return say(socket, '200 OK', FRESH, `later ${number}`);
    socket.write(headOf('200 OK', { ...FRESH, 'Content-Length': 200_000 }));
    socket.write('x'.repeat(100_000));
    rest = () => socket.write('x'.repeat(100_000));
  });
  const relay = await startRelay(server.url);
  const reading = await fetch(relay.url('/f'));
  expect((await send('DELETE', relay.url('/f'), { headers: { 'if-match': '"two"' } })).status).toBe(412);
  expect((await send('DELETE', relay.url('/f'), { headers: { 'if-match': '"one"' } })).status).toBe(204);
  rest();
  expect(await reading.text()).toBe('x'.repeat(200_000));
  // Until it has come to its end, each who asks is passed on.
  const read = async () => (await get(relay.url('/f'))).text;
  let again = '';
  const isKept = async () => {
    const before = again;
    again = await read();
    return again === before;
  };
  await waitFor(isKept, 'it to be kept anew');
  expect(again).toBe(`later ${server.requests.length - 1}`);
  expect((await send('DELETE', relay.url('/f'), { headers: { 'if-match': '"two"' } })).status).toBe(412);
  expect((await send('DELETE', relay.url('/none'), { headers: { 'if-match': '"two"' } })).status).toBe(412);
  expect((await send('DELETE', relay.url('/f'))).status).toBe(204);
  expect(await read()).toBe(`later ${server.requests.length - 1}`);
  expect(await read()).not.toBe(again);
});

describe('a stream that is forked from what comes from elsewhere', () => {
  const fork = (source: string) => ({ 'stream-forked-from': source, 'content-type': 'text/plain' });

  test('is made here when its place is here', async () => {
    const origin = await startOrigin();
    const relay = await startRelay(`/b=${origin.url('')}`);
    await send('PUT', origin.url('/x'), { headers: { 'content-type': 'text/plain' }, body: 'content' });
    expect((await send('PUT', relay.url('/mine'), { headers: fork('/b/x') })).status).toBe(201);
    expect((await get(relay.url('/mine'))).text).toBe('content');
    expect((await send('PUT', relay.url('/other'), { headers: fork('/b/none') })).status).toBe(404);
  });

  test('is not made of a part, while the link is cut either', async () => {
    const origin = await startOrigin();
    const network = await ChaosProxy.start(origin.port, new Random(1), NO_CHAOS);
    const relay = await startRelay(`/b=${network.url('')}`);
    await send('PUT', origin.url('/x'), { headers: { 'content-type': 'text/plain' }, body: 'content' });
    const appender = openAppend(origin.url('/x')).on('error', () => undefined);
    onTestFinished(() => void appender.destroy());
    const follower = await V2Peer.follow(relay.url('/b/x'));
    await waitFor(() => follower.text === 'content', 'it to be followed');
    network.refuse(true);
    network.resetAll();
    await waitFor(async () => (await get(relay.url('/b/x'))).status === 502, 'the link to be cut');
    const refused = await send('PUT', relay.url('/mine'), { headers: fork('/b/x') });
    expect([refused.status, refused.code]).toEqual([503, 'HFS_STORAGE_BUSY']);
    network.refuse(false);
    const made = async () =>
      (await send('PUT', relay.url('/mine'), { headers: fork('/b/x') })).status === 201;
    await waitFor(made, 'it to be made');
  });

  test('is not made of a part either of which the rest is refused', async () => {
    const server = await ScriptedServer.start(({ number }, socket) => {
      if (number > 0) say(socket, '403 Forbidden', {}, 'no');
      else socket.end(headOf('200 OK', { ...FRESH, 'Content-Length': 2000 }) + 'x'.repeat(1000));
    });
    const relay = await startRelay(`/b=${server.url}`);
    const statusOf = () =>
      get(relay.url('/b/x')).then(
        ({ status }) => status,
        () => 0,
      );
    await waitFor(async () => (await statusOf()) === 403, 'the rest to be refused');
    const refused = await send('PUT', relay.url('/mine'), { headers: fork('/b/x') });
    expect([refused.status, refused.code]).toEqual([503, 'HFS_STORAGE_BUSY']);
  });

  test('and else there, if that is where it comes from', async () => {
    const origin = await startOrigin();
    const relay = await startRelay(`/b=${origin.url('/dir')}`);
    await send('PUT', origin.url('/dir/x y'), { headers: { 'content-type': 'text/plain' }, body: 'content' });
    await append(relay.url('/own'), ['mine']);
    expect((await send('PUT', relay.url('/b/fork'), { headers: fork('/b/x%20y') })).status).toBe(201);
    expect((await get(origin.url('/dir/fork'))).text).toBe('content');
    expect((await send('PUT', relay.url('/b/other'), { headers: fork('/own') })).status).toBe(400);
  });
});
