import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import Fastify from 'fastify';
import { expect, it } from 'vitest';
import type { Right } from '../../../src/rights/access.ts';
import { httpfstream } from '../../../src/server/plugin.ts';
import type { HttpfstreamOptions } from '../../../src/server/settings.ts';
import { HANDSHAKE } from '../../support/http/raw.ts';
import { PATIENCE_MS } from '../../support/patience.ts';
import { Random } from '../../support/random.ts';
import { RuleAccess } from '../../support/server/rule-access.ts';
import { cutConnectionsAfterTest, listen, temporaryDirectory } from '../../support/server/server.ts';

const FUZZ_MS = process.env.HTTPFSTREAM_SOAK === '1' ? 60_000 : 1500;

/** How long the mutant may hide. */
const MUTANT_MS = 60_000;

/** Requests under way at a time, and until the next look at the files. */
const PARALLEL = 8;
const BATCH = 200;

/** A client that has got nothing for so long goes: what it has asked for may have no end. */
const QUIET_MS = 25;

/** In a file that only its name leads to, and the name of one that no request knows. */
const SECRET = 'TOP-SECRET';
const HIDDEN = 'hidden-name';

/** What may be done with what is in each directory; with all else, nothing. */
type Rights = Readonly<Record<string, readonly Right[]>>;

const PUBLIC: Rights = { public: ['follow', 'append', 'list', 'delete'] };

/** One right in each directory, which is not enough for what the others are for. */
const EACH: Rights = { ...PUBLIC, readable: ['follow'], box: ['append'], shelf: ['list'], bin: ['delete'] };

const rulesOf = (rights: Rights) =>
  Object.fromEntries(Object.entries(rights).map(([directory, each]) => [`/${directory}/**`, each]));

/** Everybody may do everything below `/public/`, and nothing else. */
const ACCESS = () => new RuleAccess({}, rulesOf(PUBLIC));

/** A root with all that there is. */
async function fill(root: string): Promise<void> {
  const secrets = ['secret', 'box', 'shelf', 'bin'].flatMap((name) => [`${name}/key`, `${name}/${HIDDEN}`]);
  for (const [name, content] of [
    ['public/file', 'public'],
    ['readable/file', 'readable'],
    [`readable/${HIDDEN}`, SECRET],
    ['publicity', SECRET],
    ...secrets.map((secret) => [secret, SECRET] as const),
  ] as const) {
    await mkdir(path.dirname(path.join(root, name)), { recursive: true });
    await writeFile(path.join(root, name), content);
  }
}

async function startServer(options: Partial<HttpfstreamOptions>, refuse?: (url: string) => boolean) {
  const root = await temporaryDirectory();
  // What comes from elsewhere is there.
  if (options.upstreams === undefined) await fill(root);
  const app = Fastify();
  app.addHook('onRequest', async (request, reply) => {
    if (refuse?.(request.url)) return reply.code(401).send();
  });
  await app.register(httpfstream, {
    closeTimeoutMs: 200,
    longPollMs: 1,
    graceMs: 0,
    index: true,
    ...options,
    root,
  });
  const server = await listen(app);
  cutConnectionsAfterTest(app);
  return { port: server.port, root };
}

const SEGMENTS = [
  ...[
    'public',
    'public',
    'public',
    'secret',
    'secret',
    'key',
    'key',
    'file',
    'new',
    'publicity',
    'index.html',
    'readable',
    'box',
    'shelf',
    'bin',
  ],
  ...[
    '..',
    '..',
    '..',
    '.',
    '',
    '%2e%2e',
    '.%2e',
    '%2E%2e',
    '..%2f..',
    '..%2fsecret',
    '%2e%2e%2fsecret%2fkey',
    '..%5c',
  ],
  ...[
    '%252e%252e',
    '%2f',
    'public%2f..',
    'PUBLIC',
    'Secret',
    '%73ecret',
    'secret%2fkey',
    'key%00',
    'key%',
    '..;',
  ],
  ...['.httpfstream', '.httpfstream/page/1.x', 'secret.', 'secret%20', '%EF%BC%8E%EF%BC%8E', '%c0%ae%c0%ae'],
];
const QUERIES = [
  ...[
    'verb=FOLLOW',
    'verb=APPEND',
    'verb=APPEND',
    'offset=-1',
    'offset=-1&live=sse',
    'offset=now&live=long-poll',
  ],
  ...[
    'from=0',
    'lines=9',
    'session=aaaaaaaaaaaaaaaa',
    'expect=0',
    'verb=follow',
    'path=/secret/key',
    'verb=',
  ],
];

function pathOf(random: Random): string {
  const names = Array.from({ length: random.integer(1, 5) }, () => random.pick(SEGMENTS));
  return `${random.chance(0.9) ? '/' : ''}${names.join('/')}${random.chance(0.2) ? '/' : ''}`;
}

function targetOf(random: Random): string {
  const start = random.pick([
    '',
    '',
    '',
    '',
    '',
    '',
    'http://test',
    'http://test/public',
    'HTTP://a@test',
    '/public',
    '/public',
    '/',
  ]);
  const queries = Array.from({ length: random.pick([0, 0, 1, 1, 2]) }, () => random.pick(QUERIES));
  const query = queries.length > 0 ? `?${queries.join('&')}` : '';
  return `${start}${pathOf(random)}${query}${random.chance(0.03) ? '#/secret' : ''}`;
}

/**
 * A request, as it goes over the wire.
 *
 * @param token one that counts, if there is one
 */
function requestOf(random: Random, token: string | undefined): string {
  const method = random.pick([
    'GET',
    'GET',
    'GET',
    'HEAD',
    'PUT',
    'PUT',
    'POST',
    'POST',
    'DELETE',
    'OPTIONS',
    'get',
    'PATCH',
  ]);
  const headers = ['Host: test'];
  const add = (probability: number, ...lines: readonly string[]) => {
    if (random.chance(probability)) headers.push(...lines);
  };
  add(0.15, `X-Verb: ${random.pick(['APPEND', 'FOLLOW', 'APPEND, FOLLOW', ''])}`);
  add(0.05, 'X-Verb: APPEND');
  add(
    method === 'PUT' ? 0.5 : 0.05,
    `Stream-Forked-From: ${random.pick([pathOf(random), targetOf(random), '/secret/key'])}`,
  );
  add(0.05, `Range: bytes=0-${random.pick(['', '3', '9007199254740991'])}`);
  add(0.1, 'Accept: application/json');
  if (token !== undefined && random.chance(0.9)) headers.push(`Authorization: Bearer ${token}`);
  else add(0.05, `Authorization: ${random.pick(['Bearer x', 'Basic Og==', ''])}`);
  add(0.05, 'If-Match: "x"');
  add(0.05, 'Expect: 100-continue');
  add(0.05, `X-Original-URL: ${pathOf(random)}`, `X-Forwarded-Prefix: ${pathOf(random)}`);
  add(
    method === 'GET' ? 0.2 : 0.02,
    ...HANDSHAKE,
    ...(random.chance(0.6) ? ['Sec-WebSocket-Protocol: httpfstream.v2'] : []),
  );
  let body = '';
  if (method === 'POST' || method === 'PUT') {
    const isForm = random.chance(0.3);
    headers.push(`Content-Type: ${isForm ? 'multipart/form-data; boundary=b' : 'text/plain'}`);
    const name = random.pick([
      pathOf(random),
      'key',
      '../secret/key',
      '..\\secret\\key',
      '%2e%2e%2fsecret%2fkey',
    ]);
    body = isForm
      ? `--b\r\nContent-Disposition: form-data; name="f"; filename="${name}"\r\n\r\nwritten\r\n--b--\r\n`
      : 'written';
    headers.push(`Content-Length: ${body.length}`);
  }
  return `${method} ${targetOf(random)} HTTP/1.1\r\n${headers.join('\r\n')}\r\n\r\n${body}`;
}

/** Resolves with all that comes until the other side closes, or says nothing more. */
function exchange(port: number, request: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1', () => socket.write(request));
    const chunks: Buffer[] = [];
    socket.setTimeout(QUIET_MS, () => socket.destroy());
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(Buffer.concat(chunks).toString('latin1')));
  });
}

/** All files in a directory, with what is in them. */
async function filesIn(directory: string): Promise<Map<string, string>> {
  const found = await readdir(directory, { recursive: true, withFileTypes: true });
  const files = new Map<string, string>();
  for (const entry of found.filter((each) => each.isFile())) {
    const file = path.join(entry.parentPath, entry.name);
    const name = path.relative(directory, file);
    if (!name.startsWith('.httpfstream')) files.set(name, await readFile(file, 'latin1').catch(() => ''));
  }
  return files;
}

/** What has become of files that nobody may do; undefined when nothing has. */
function changeIn(
  before: ReadonlyMap<string, string>,
  after: ReadonlyMap<string, string>,
  rights: Rights,
): string | undefined {
  for (const name of new Set([...before.keys(), ...after.keys()])) {
    const old = before.get(name);
    const content = after.get(name);
    if (content === old) continue;
    const [directory = ''] = name.split('/');
    const may = (right: Right) => name.includes('/') && rights[directory]?.includes(right) === true;
    if (content === undefined) {
      if (!may('delete')) return `deleted: ${name}`;
      continue;
    }
    const isLonger = content.startsWith(old ?? '');
    if (!may('append') || !(isLonger || may('delete'))) return `written: ${name}: ${content}`;
    const added = isLonger ? content.slice(old?.length) : content;
    if (added.includes(SECRET)) return `copied: ${name}`;
  }
  return undefined;
}

/** Where is fuzzed. */
interface Ground {
  port: number;
  /** Where the files are. */
  root: string;
  /** What whoever asks may do. Default: {@link PUBLIC}. */
  rights?: Rights;
  token?: string;
}

/**
 * Sends random requests until one gets what it may not, or the time is over.
 *
 * @returns what it got, and by what; and how many were let in
 */
async function fuzz(
  { port, root, rights = PUBLIC, token }: Ground,
  random: Random,
  forMs: number,
): Promise<{ found: string | undefined; admitted: number }> {
  let before = await filesIn(root);
  const deadline = performance.now() + forMs;
  let admitted = 0;
  // On a slow machine the first ones may all be too late for whoever asks.
  const bound = deadline + PATIENCE_MS;
  while (performance.now() < (admitted === 0 ? bound : deadline)) {
    const requests = Array.from({ length: BATCH }, () => requestOf(random, token));
    const waiting = [...requests];
    let leaking: string | undefined;
    const send = async () => {
      for (let request = waiting.pop(); request !== undefined; request = waiting.pop()) {
        const answer = await exchange(port, request);
        if (/^HTTP\/1\.1 2/m.test(answer)) admitted++;
        if (answer.includes(SECRET) || answer.includes(HIDDEN)) leaking ??= `read: ${request}`;
      }
    };
    await Promise.all(Array.from({ length: PARALLEL }, send));
    const after = await filesIn(root);
    leaking ??= changeIn(before, after, rights);
    if (leaking !== undefined) return { found: leaking, admitted };
    before = after;
  }
  return { found: undefined, admitted };
}

it(`whatever is asked for ${FUZZ_MS / 1000} s, nothing is read, copied or written that nobody may`, async () => {
  const random = Random.fromEnvironment();
  const server = await startServer({ access: ACCESS() });
  const { found, admitted } = await fuzz(server, random, FUZZ_MS);
  expect(found, `HTTPFSTREAM_SEED=${random.seed}`).toBeUndefined();
  // They have come in where they may.
  expect(admitted).toBeGreaterThan(0);
});

it('a token that has one right here and another there has none of them elsewhere', async () => {
  const random = Random.fromEnvironment();
  const server = await startServer({ access: new RuleAccess({ t: { rules: rulesOf(EACH) } }) });
  const { found, admitted } = await fuzz({ ...server, rights: EACH, token: 't' }, random, FUZZ_MS);
  expect(found, `HTTPFSTREAM_SEED=${random.seed}`).toBeUndefined();
  expect(admitted).toBeGreaterThan(0);
});

it('nor has it by way of a relay', async () => {
  const random = Random.fromEnvironment();
  const origin = await startServer({});
  const relay = await startServer({
    access: new RuleAccess({ t: { rules: rulesOf(EACH) } }),
    upstreams: [`http://127.0.0.1:${origin.port}`],
  });
  const ground = { port: relay.port, root: origin.root, rights: EACH, token: 't' };
  const { found, admitted } = await fuzz(ground, random, FUZZ_MS);
  expect(found, `HTTPFSTREAM_SEED=${random.seed}`).toBeUndefined();
  expect(admitted).toBeGreaterThan(0);
});

it('who decides by the URL as it came is found out', async () => {
  const server = await startServer({}, (url) => !url.startsWith('/public/'));
  expect((await fuzz(server, new Random(1), MUTANT_MS)).found).toBeDefined();
});
