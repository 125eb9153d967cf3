import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Right } from '../../../src/rights/access.ts';
import {
  HANDSHAKE,
  openSocket,
  parseAnswer,
  type RawAnswer,
  readHead,
  readToEnd,
  writeHead,
} from '../../support/http/raw.ts';
import { RuleAccess } from '../../support/server/rule-access.ts';
import { startServer, type TestServer } from '../../support/server/server.ts';
import { V2Peer } from '../../support/websocket/v2-peer.ts';

const RIGHTS: readonly Right[] = ['follow', 'append', 'list', 'delete'];

/** One token for each right below `/in/`, and one that has none there. */
const TOKENS = Object.fromEntries([
  ...RIGHTS.map((right) => [right, { rules: { '/in/**': [right] } }]),
  ['nothing', { rules: { '/elsewhere/**': RIGHTS } }],
]);

const FORM = [
  'Content-Type: multipart/form-data; boundary=b',
  '',
  '--b',
  'Content-Disposition: form-data; name="f"; filename="part"',
  '',
  'x',
  '--b--',
  '',
].join('\r\n');

/** What is asked for, of the file, directory or nothing at `PATH`. */
interface Operation {
  name: string;
  /** The request line without its version. */
  line: string;
  /** Headers, and after an empty line the body. */
  rest?: readonly string[];
  /** Of these rights one is enough, and is answered with this status for a file. */
  rights: Partial<Record<Right, number>>;
}

const V2 = 'Sec-WebSocket-Protocol: httpfstream.v2';
const READS: readonly Operation[] = [
  { name: 'GET', line: 'GET PATH', rights: { follow: 200, list: 404 } },
  {
    name: 'GET of a range',
    line: 'GET PATH',
    rest: ['Range: bytes=0-1'],
    rights: { follow: 206, list: 404 },
  },
  {
    name: 'a range that grows',
    line: 'GET PATH',
    rest: ['Range: bytes=0-9007199254740991'],
    rights: { follow: 206, list: 404 },
  },
  { name: 'HEAD', line: 'HEAD PATH', rights: { follow: 200, append: 200, list: 404 } },
  {
    name: 'the question whether it may be appended to',
    line: 'GET PATH?view=append',
    rights: { follow: 204, append: 204, list: 204 },
  },
  { name: 'FOLLOW', line: 'GET PATH?verb=FOLLOW', rights: { follow: 200 } },
  { name: 'FOLLOW by header', line: 'GET PATH', rest: ['X-Verb: FOLLOW'], rights: { follow: 200 } },
  { name: 'catch-up', line: 'GET PATH?offset=-1', rights: { follow: 200 } },
  { name: 'HEAD of a stream', line: 'HEAD PATH?offset=-1', rights: { follow: 200, append: 200 } },
  { name: 'long-poll', line: 'GET PATH?offset=-1&live=long-poll', rights: { follow: 200 } },
  { name: 'a handshake', line: 'GET PATH', rest: HANDSHAKE, rights: { follow: 200, list: 404 } },
  { name: 'a handshake, v2', line: 'GET PATH', rest: [...HANDSHAKE, V2], rights: { follow: 101 } },
];
const WRITES: readonly Operation[] = [
  {
    name: 'a handshake to append',
    line: 'GET PATH?verb=APPEND',
    rest: [...HANDSHAKE, V2],
    rights: { append: 101 },
  },
  {
    name: 'PUT',
    line: 'PUT PATH',
    rest: ['Content-Type: text/plain', ...body('x')],
    rights: { append: 200 },
  },
  {
    name: 'POST',
    line: 'POST PATH',
    rest: ['Content-Type: text/plain', ...body('x')],
    rights: { append: 204 },
  },
  {
    name: 'POST that closes',
    line: 'POST PATH',
    rest: ['Stream-Closed: true', ...body('')],
    rights: { append: 204 },
  },
  { name: 'PUT, APPEND', line: 'PUT PATH?verb=APPEND', rest: body('x'), rights: { append: 200 } },
  {
    name: 'POST, APPEND',
    line: 'POST PATH',
    rest: ['X-Verb: APPEND', ...body('x')],
    rights: { append: 200 },
  },
  { name: 'DELETE', line: 'DELETE PATH', rights: { delete: 204 } },
  { name: 'conditional DELETE', line: 'DELETE PATH', rest: ['If-Match: "x"'], rights: { delete: 412 } },
];

function body(text: string): string[] {
  return [`Content-Length: ${text.length}`, '', text];
}

/** Sends a request; an upgrade's head is its answer. */
async function ask(
  { port }: TestServer,
  { line, rest = [] }: Pick<Operation, 'line' | 'rest'>,
  at: string,
  ...headers: string[]
): Promise<RawAnswer> {
  const socket = await openSocket(port);
  const isHandshake = rest.some((header) => header.startsWith('Upgrade:'));
  const all = ['Host: test', ...(isHandshake ? [] : ['Connection: close']), ...headers, ...rest];
  const end = all.includes('') ? '' : '\r\n\r\n';
  socket.write(`${[`${line.replace('PATH', at)} HTTP/1.1`, ...all].join('\r\n')}${end}`);
  const answer = parseAnswer(await (isHandshake ? readHead(socket) : readToEnd(socket)));
  socket.destroy();
  return answer;
}

async function start(access = new RuleAccess(TOKENS)) {
  const server = await startServer({ access, longPollMs: 1, graceMs: 0 });
  for (const directory of ['in', 'out']) {
    await mkdir(path.join(server.root, directory, 'directory'), { recursive: true });
    await writeFile(path.join(server.root, directory, 'file'), 'secret');
  }
  return server;
}

const bearer = (token: string) => `Authorization: Bearer ${token}`;

/** All that is in a directory, and in what. */
async function contentOf(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const files = entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name));
  const contents = files.map(async (file) => `${path.relative(directory, file)}: ${await readFile(file)}`);
  return (await Promise.all(contents)).sort();
}

it('is allowed to who has the right there, and to nobody else, whatever is there', async () => {
  const server = await start();
  const before = await contentOf(path.join(server.root, 'out'));
  const names = ['missing', 'file', 'directory', 'missing/x', '%66ile', 'directory/', 'file/', 'missing/'];
  for (const [index, operation] of [...READS, ...WRITES].entries()) {
    const { name, rights } = operation;
    const refused = Object.keys(TOKENS).map(async (token) => {
      const answers = names.map((to) => ask(server, operation, `/out/${to}`, bearer(token)));
      return { token, answers: await Promise.all(answers) };
    });
    for (const { token, answers } of await Promise.all(refused)) {
      const refusals = answers.map(({ headers: { date: _, ...headers }, ...rest }) => ({ ...rest, headers }));
      // By the slash alone, a right to list is meant, or to read.
      for (const same of [refusals.slice(0, 5), refusals.slice(5)]) {
        expect(new Set(same.map((refusal) => JSON.stringify(refusal))).size, `${name}, ${token}`).toBe(1);
      }
      expect(refusals[0], `${name}, ${token}`).toMatchObject({ status: 403 });
    }
    const directory = `/in/${index}`;
    await mkdir(path.join(server.root, directory));
    await writeFile(path.join(server.root, directory, 'file'), 'secret');
    const others = ['nothing', ...RIGHTS.filter((right) => rights[right] === undefined)];
    for (const token of others) {
      for (const to of [`${directory}/file`, `${directory}/missing`]) {
        expect((await ask(server, operation, to, bearer(token))).status, `${name}, ${token}`).toBe(403);
      }
    }
    const anonymous = await ask(server, operation, `${directory}/file`);
    expect(anonymous.status, name).toBe(401);
    expect(anonymous.headers['www-authenticate'], name).toContain('Bearer');
    for (const [right, status] of Object.entries(rights)) {
      for (const [scheme, credential] of [
        ['bearer', bearer(right)],
        ['basic', `Authorization: Basic ${btoa(`anybody:${right}`)}`],
      ] as const) {
        const file = `${directory}/for-${right}-${scheme}`;
        await writeFile(path.join(server.root, file), 'secret');
        const answer = await ask(server, operation, file, credential);
        expect(answer.status, `${name}, ${right}: ${answer.body}`).toBe(status);
      }
    }
  }
  expect(await contentOf(path.join(server.root, 'out'))).toEqual(before);
});

it('the rights of anonymous are everybody’s, and a credential that does not count is refused all the same', async () => {
  const expiring = { rules: { '/in/**': RIGHTS }, expiresMs: Date.now() - 1 };
  const server = await start(new RuleAccess({ ...TOKENS, expired: expiring }, { '/in/**': ['follow'] }));
  const get = { line: 'GET PATH' };
  expect((await ask(server, get, '/in/file')).status).toBe(200);
  expect((await ask(server, get, '/in/file', bearer('nothing'))).status).toBe(200);
  for (const bad of [
    bearer('unknown'),
    bearer('expired'),
    'Authorization: Digest x',
    'Authorization: Basic ?',
  ]) {
    const { status, body: text } = await ask(server, get, '/in/file', bad);
    expect([status, JSON.parse(text).code], bad).toEqual([401, 'HFS_UNAUTHORIZED']);
    expect((await ask(server, get, '/in/missing', bad)).status, bad).toBe(401);
  }
  expect((await ask(server, get, '/out/file')).status).toBe(401);
});

it('every answer says for whom it is, whichever way it is sent', async () => {
  const access = new RuleAccess({ t: { rules: { '/**': RIGHTS } } }, { '/in/**': ['follow'] });
  const server = await start(access);
  const appender = await V2Peer.append(
    server.url('/in/live'),
    {},
    { headers: { authorization: 'Bearer t' } },
  );
  await appender.append('x', 1);
  const targets: [string, ...string[]][] = [
    ['/in/file'],
    ['/in/'],
    ['/in/file?offset=-1'],
    ['/in/live?offset=-1&live=long-poll'],
    ['/in/live?offset=-1&live=sse'],
    ['/in/live?verb=FOLLOW'],
    ['/in/live', 'Range: bytes=0-9007199254740991'],
    ['/out/missing'],
  ];
  for (const [target, ...headers] of targets) {
    for (const credential of [[bearer('t')], []]) {
      const socket = await openSocket(server.port);
      writeHead(socket, `GET ${target} HTTP/1.1`, [...credential, ...headers]);
      const answer = parseAnswer(await readHead(socket));
      socket.destroy();
      expect(answer.headers.vary, target).toContain('Authorization');
      expect(answer.headers['referrer-policy'], target).toBe('no-referrer');
      if (credential.length > 0) expect(answer.headers['cache-control'], target).toMatch(/private|no-store/);
    }
  }
});

describe('what a right to list is worth', () => {
  it('tells of directories, and neither of files nor of what is missing', async () => {
    const server = await start();
    const get = { line: 'GET PATH' };
    const status = async (at: string, token: string) => (await ask(server, get, at, bearer(token))).status;
    expect(await status('/in/directory/', 'list')).toBe(200);
    expect(await status('/in/directory', 'list')).toBe(301);
    for (const name of ['file', 'file/', 'missing', 'missing/']) {
      expect(await status(`/in/${name}`, 'list'), name).toBe(404);
    }
    // Who may read what is there may know that it is no file, and not more.
    expect(await status('/in/directory', 'follow')).toBe(403);
    expect(await status('/in/directory/', 'follow')).toBe(403);
    expect(await status('/in/file/', 'follow')).toBe(403);
    const file = await ask(server, get, '/in/file', bearer('list'));
    const missing = await ask(server, get, '/in/missing', bearer('list'));
    expect(file.body).toBe(missing.body);
  });
});

describe('what a right to append is worth', () => {
  it('tells how much there is, and not what', async () => {
    const server = await start();
    const head = await ask(server, { line: 'HEAD PATH' }, '/in/file', bearer('append'));
    expect([head.status, head.headers['content-length']]).toEqual([200, '6']);
    expect((await ask(server, { line: 'GET PATH' }, '/in/file', bearer('append'))).status).toBe(403);
    const put = { line: 'PUT PATH', rest: body('secret') };
    // Whoever can guess all of it can check the guess.
    expect((await ask(server, put, '/in/file', bearer('append'))).status).toBe(200);
  });

  it('does not tell where values end', async () => {
    const access = new RuleAccess({
      append: { rules: { '/**': ['append'] } },
      read: { rules: { '/**': RIGHTS } },
    });
    const server = await start(access);
    const json = 'Content-Type: application/json';
    const write = { line: 'PUT PATH', rest: [json, ...body('[123456,7,"ab"]')] };
    expect((await ask(server, write, '/in/values', bearer('append'))).status).toBe(201);
    const head = { line: 'HEAD PATH' };
    const { headers } = await ask(server, head, '/in/values', bearer('append'));
    const last = headers['stream-next-offset'] as string;
    const statuses = (token: string) => {
      const asked = Array.from({ length: 14 }, (_, at) => {
        const offset = last.replace(/\d+$/, (digits) => String(at).padStart(digits.length, '0'));
        return ask(server, head, `/in/values?offset=${offset}`, bearer(token));
      });
      return Promise.all(asked).then((answers) => answers.map(({ status }) => status));
    };
    expect(new Set(await statuses('append'))).toEqual(new Set([200]));
    // Who may read it is told of a mistake.
    expect(new Set(await statuses('read'))).toEqual(new Set([200, 400]));
  });

  it('does not delete by way of a directory', async () => {
    const server = await start(
      new RuleAccess({ t: { rules: { '/in/file/**': ['delete', 'append', 'follow'] } } }),
    );
    for (const line of ['DELETE PATH', 'GET PATH?verb=FOLLOW', 'HEAD PATH?offset=-1']) {
      expect((await ask(server, { line }, '/in/file/', bearer('t'))).status, line).toBe(403);
    }
    expect(
      (await ask(server, { line: 'PUT PATH?verb=APPEND', rest: body('x') }, '/in/file/', bearer('t'))).status,
    ).toBe(403);
    expect(await readFile(path.join(server.root, 'in/file'), 'utf8')).toBe('secret');
  });

  it('is asked for each file of a form, besides its directory', async () => {
    const access = new RuleAccess({
      all: { rules: { '/in/**': ['append'] } },
      directory: { rules: { '/in/': ['append'] } },
    });
    const server = await start(access);
    const form = (at: string, token: string) => {
      const length = FORM.slice(FORM.indexOf('--b')).length;
      return ask(
        server,
        { line: 'POST PATH?verb=APPEND', rest: [`Content-Length: ${length}`, FORM] },
        at,
        bearer(token),
      );
    };
    expect(await form('/in/', 'all')).toMatchObject({ status: 201 });
    const refused = await form('/in/', 'directory');
    expect([refused.status, JSON.parse(refused.body)]).toMatchObject([
      403,
      [{ name: 'part', status: 403, code: 'HFS_FORBIDDEN_RIGHT' }],
    ]);
    // Before its parts are read, whether there is such a directory or not.
    for (const at of ['/out/', '/missing/', '/out/file']) {
      expect(JSON.parse((await form(at, 'all')).body), at).toMatchObject({ code: 'HFS_FORBIDDEN_RIGHT' });
    }
    expect(await contentOf(path.join(server.root, 'in'))).toContain('part: x');
  });
});

describe('a fork', () => {
  it('needs the right to read its source, be that there or not', async () => {
    const access = new RuleAccess({
      t: { rules: { '/in/**': ['append'], '/public/**': ['follow'] } },
    });
    const server = await start(access);
    await mkdir(path.join(server.root, 'public'));
    await writeFile(path.join(server.root, 'public/file'), 'public');
    const fork = (from: string, to: string) =>
      ask(
        server,
        { line: 'PUT PATH', rest: [`Stream-Forked-From: ${from}`, 'Content-Length: 0', '', ''] },
        to,
        bearer('t'),
      );
    const sources = [
      '/out/file',
      '/out/missing',
      '/in/file',
      '/public/../out/file',
      '/public/%2e%2e/out/file',
      '/public/..%2fout/file',
    ];
    for (const source of sources) {
      const { status, body: text } = await fork(source, '/in/fork');
      expect([status, JSON.parse(text).code], source).toEqual([403, 'HFS_FORBIDDEN_RIGHT']);
    }
    expect((await fork('/public/file', '/out/fork')).status).toBe(403);
    const { status, headers } = await fork('/public/file', '/in/fork');
    expect([status, headers.location]).toEqual([201, 'http://test/in/fork']);
    expect(await readFile(path.join(server.root, 'in/fork'), 'utf8')).toBe('public');
  });
});
