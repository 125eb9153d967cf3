import { once } from 'node:events';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { json, text } from 'node:stream/consumers';
import { gunzipSync, gzipSync } from 'node:zlib';
import { beforeAll, describe, expect, test } from 'vitest';
import { client, lines, ok, readable } from '../src/http/index.node.ts';
import { rejection } from './client/client-server.ts';
import { send } from './support/http/request.ts';
import { heard, type Listener, nobody, serve } from './support/http/servers.ts';
import { PATH, runProgram, startProgram, startProgramForAll } from './support/programs/program.ts';
import { makeDirectory } from './support/server/reserves.ts';
import { diskDirectory } from './support/server/server.ts';
import { waitFor } from './support/wait-for.ts';

const EXAMPLES = path.join(import.meta.dirname, '../examples');

/** Resolves with the address that an example prints when it listens. */
async function addressOf({ stdout }: ReturnType<typeof start>): Promise<string> {
  await waitFor(() => stdout().includes('\n'), 'the example to listen');
  return stdout().toString().split('\n')[0] as string;
}

const programOf = (name: string, args: readonly string[]) => [path.join(EXAMPLES, name), ...args];

/** Nothing of the machine's: no proxy. */
const ENV = { PATH, TMPDIR: os.tmpdir() };

function start(name: string, ...args: string[]) {
  return startProgram('node', programOf(name, args), { env: ENV });
}

test('every example is named in the docs', async () => {
  const pages = await Promise.all(
    ['http-client.md', 'cookbook.md'].map((name) => readFile(path.join(EXAMPLES, '../docs', name), 'utf8')),
  );
  const files = await readdir(EXAMPLES, { recursive: true });
  const programs = files.filter((name) => name.endsWith('.mjs')).map((name) => `examples/${name}`);
  expect(programs.length).toBeGreaterThan(3);
  expect(programs.filter((name) => !pages.some((page) => page.includes(`node ${name}`)))).toEqual([]);
});

test('the pipeline saves on one server what the other makes, and tells what memory it takes', async () => {
  const directory = await diskDirectory();
  const env = { PATH, TMPDIR: directory };
  const ended = await runProgram('node', programOf('pipeline/pipeline.mjs', ['20000']), { env });
  expect(ended.stderr).toBe('');
  const stdout = ended.stdout.toString();
  expect(stdout).toContain('large file.txt: 908894 bytes, 0.87 MiB');
  expect(stdout).toMatch(/receivedBytes: 908894,[^}]*} GET http:\/\/127\.0\.0\.1:\d+\/file 200/);
  expect(stdout).toMatch(/sentBytes: 909\d\d\d,[^}]*} POST http:\/\/127\.0\.0\.1:\d+\/upload 201/);
  expect(stdout).toMatch(/^before: resident .* MiB, heap .* MiB, buffers .* MiB$/m);
  expect(stdout).toMatch(/^after: resident .* MiB, heap .* MiB, buffers .* MiB$/m);
  expect(ended.exitCode).toBe(0);
  expect(await readdir(directory)).toEqual([]);
});

describe('the proxy', () => {
  /** The proxy before a server; the URL of the proxy. */
  const proxyOf = (upstream: string) => addressOf(start('proxy.mjs', upstream, '0'));

  test('passes on what is asked, and what is answered, each piece when it comes', async () => {
    const seen: string[] = [];
    let finish = () => {};
    let isLeft = false;
    const answers: Record<string, Listener> = {
      '/slow': (_request, response) => {
        response.writeHead(200, { 'set-cookie': ['a=1', 'b=2'] }).write('one\n');
        finish = () => response.end('two\n');
      },
      '/left': (_request, response) => {
        response.once('close', () => {
          isLeft = true;
        });
        response.write('one\n');
      },
      '/moved?a=b': (_request, response) => response.writeHead(302, { location: '/elsewhere' }).end(),
      '/coded': (_request, response) =>
        response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync('plain')),
      '/cut': (_request, response) => {
        response.writeHead(200, { 'content-length': 10 });
        response.write('half\n', () => response.destroy());
      },
      '/%7Bname%7D': async (request, response) => {
        const body = await text(request);
        response.writeHead(201).end(`${request.method} ${request.headers['x-mine']} ${body}`);
      },
    };
    const upstream = await serve((request, response) => {
      const { url = '', headers } = request;
      seen.push(`${headers.host} ${url}`);
      answers[url]?.(request, response);
    });
    const proxy = await proxyOf(upstream);
    const own = client(proxy);

    const slow = await own.get('/slow').send();
    expect(slow.headers.getSetCookie()).toEqual(['a=1', 'b=2']);
    const received = [];
    for await (const line of lines(slow)) {
      received.push(line);
      finish();
    }
    expect(received).toEqual(['one', 'two']);

    const left = new AbortController();
    await own.get('/left').signal(left.signal).send();
    left.abort();
    await waitFor(() => isLeft, 'the server to see that the reader has left');

    expect(await send('GET', `${proxy}/moved?a=b`)).toMatchObject({
      status: 302,
      headers: { location: '/elsewhere' },
    });
    const coded = await send('GET', `${proxy}/coded`);
    expect([gunzipSync(coded.body).toString(), coded.headers['content-encoding']]).toEqual(['plain', 'gzip']);
    expect(
      await rejection(
        own
          .get('/cut')
          .send()
          .then(ok)
          .then((answer) => answer.text()),
      ),
    ).toMatchObject({
      code: 'HFS_CONNECTION',
    });
    const options = { headers: { 'x-mine': 'kept' }, body: ['sent', ' in pieces'] };
    expect(await send('PUT', `${proxy}/{name}`, options)).toMatchObject({
      status: 201,
      text: 'PUT kept sent in pieces',
    });
    expect(seen.every((line) => line.startsWith(new URL(upstream).host))).toBe(true);
  });

  test('says so when there is nobody behind it', async () => {
    const proxy = await proxyOf(await nobody());
    expect((await send('GET', proxy, { headers: { 'content-length': '0' } })).status).toBe(502);
    expect((await send('PUT', proxy, { body: ['sent', ' in pieces'] })).status).toBe(502);
  });

  test('passes on why a body is refused while it is sent, and takes the next request', async () => {
    const upstream = await serve((request, response) =>
      request.method === 'GET' ? response.end('next') : response.writeHead(413).end('too large'),
    );
    const own = client(await proxyOf(upstream));
    const endless = async function* () {
      for (;;) yield new Uint8Array(65_536);
    };
    const refused = await own.put('/').body(endless()).send();
    expect([refused.status, await refused.text()]).toEqual([413, 'too large']);
    const next = await own.get('/').header('content-length', '0').send();
    expect([next.status, await next.text()]).toEqual([200, 'next']);
  });
});

describe('the output of a command', () => {
  test('is there line by line while the command runs', async () => {
    const go = path.join(await diskDirectory(), 'go');
    const command = `echo first; until [ -e '${go}' ]; do sleep 0.05; done; echo second`;
    const program = start('command-output.mjs', 'sh', '-c', command);
    await waitFor(() => program.stdout().toString() === 'first\n', 'the first line');
    await writeFile(go, '');
    const { exitCode, stdout, stderr } = await program.ended;
    expect([exitCode, stdout.toString(), stderr]).toEqual([0, 'first\nsecond\n', '']);
  });

  test('is an error when the command fails', async () => {
    const { exitCode, stdout, stderr } = await start('command-output.mjs', 'sh', '-c', 'echo half; exit 3')
      .ended;
    expect([exitCode, stdout.toString()]).toEqual([1, 'half\n']);
    expect(stderr).toMatch(/^GET http.*\n$/);
    expect((await start('command-output.mjs', 'no-such-command').ended).stderr).toMatch(
      /no-such-command ENOENT/,
    );
  });
});

describe('the answer of a model', () => {
  /** What the model does: each test has its own. The application takes most of a second to start. */
  let answer: Listener;
  let own: ReturnType<typeof client>;

  beforeAll(async () => {
    const model = http.createServer(heard((request, response) => answer(request, response)));
    model.listen(0, '127.0.0.1');
    await once(model, 'listening');
    const directory = await makeDirectory('disk');
    const args = [`http://127.0.0.1:${(model.address() as AddressInfo).port}`, directory, '0'];
    const { program, end } = startProgramForAll('node', programOf('model-answer/app.mjs', args), {
      env: ENV,
    });
    const stop = async () => {
      await end();
      model.closeAllConnections();
      model.close();
      await rm(directory, { recursive: true });
    };
    const address = addressOf(program).catch(async (error) => {
      await stop();
      throw error;
    });
    own = client(await address);
    return stop;
  });

  test('is asked for once, goes on without a reader, and is there for all who come', async () => {
    const asked: string[] = [];
    let say = (_words: string) => {};
    let finish = () => {};
    answer = async (request, response) => {
      const { question } = (await json(request)) as { question: string };
      asked.push(question);
      say = (words) => response.write(words);
      finish = () => response.end();
      say(`${question} is `);
    };
    const ask = (id: string, question: string) =>
      own.post('/ask/{id}').pathParam('id', id).form('question', question).send();
    const answers = await Promise.all(Array.from({ length: 10 }, () => ask('a b', 'this')));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([202]));
    expect(answers[0]?.headers.get('location')).toBe('/answers/a%20b');

    const follow = () => own.get('/answers/a%20b').query('verb', 'FOLLOW').query('wait', 30).send();
    for await (const words of readable(await ok(await follow()))) {
      expect(String(words)).toMatch(/^this/);
      break;
    }
    say('more ');
    const reloaded = follow();
    say('and more');
    finish();
    expect(await (await ok(await reloaded)).text()).toBe('this is more and more');
    expect(await (await ok(await follow())).text()).toBe('this is more and more');
    expect((await own.post('/ask/nothing').send()).status).toBe(400);
    // By the time the second has come through, the first would have, too.
    await ask('a b', 'this again');
    await ask('another', 'another');
    await waitFor(() => asked.includes('another'), 'the model to be asked something else');
    expect(asked).toEqual(['this', 'another']);
  });

  test('stops when it is deleted, and is an error for its readers when the model breaks off', async () => {
    let breakOff = () => {};
    const told = { left: 0 };
    answer = async (request, response) => {
      await text(request);
      response.once('close', () => told.left++);
      response.write('words');
      breakOff = () => response.destroy();
    };
    const follow = async (id: string) => {
      await own.post(`/ask/${id}`).form('question', 'this').send();
      return ok(await own.get(`/answers/${id}`).query('verb', 'FOLLOW').query('wait', 30).send());
    };
    const readAfter = async (response: Response, act: () => unknown) => {
      for await (const words of readable(response)) {
        expect(String(words)).toBe('words');
        await act();
      }
    };
    const deleted = readAfter(await follow('deleted'), () => own.delete('/answers/deleted').send());
    expect(await rejection(deleted)).toMatchObject({ code: 'HFS_CONNECTION' });
    await waitFor(() => told.left === 1, 'the model to be told');

    const broken = readAfter(await follow('broken'), () => breakOff());
    expect(await rejection(broken)).toMatchObject({ code: 'HFS_CONNECTION' });
  });

  test('is an error when only the end of its connection says that it is over', async () => {
    answer = ({ socket }) => socket.end('HTTP/1.1 200 OK\r\n\r\nwords');
    await own.post('/ask/1').form('question', 'this').send();
    const read = own.get('/answers/1').query('verb', 'FOLLOW').query('wait', 30).send();
    expect(await rejection(read.then(ok).then((response) => response.text()))).toMatchObject({
      code: 'HFS_CONNECTION',
    });
  });

  test('has a stand-in, which says words and hears that nobody listens', async () => {
    const stand = start('model-answer/model-server.mjs', '0', '3', '1');
    const model = client(await addressOf(stand));
    const said = await ok(await model.post('').json({ question: 'this' }).send());
    expect(await said.text()).toBe('word 1 word 2 word 3 and that is all\n');
    const endless = start('model-answer/model-server.mjs', '0', '1000000', '1');
    const left = await client(await addressOf(endless))
      .post('')
      .json({ question: 'this' })
      .send();
    await left.body?.cancel();
    await waitFor(() => endless.stdout().toString().endsWith('stopped: this\n'), 'the model to stop');
  });
});
