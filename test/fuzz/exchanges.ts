import type { Random } from '../support/random.ts';
import { type Body, bodyOf, formContent, jsonContent, plainContent } from './bodies.ts';
import { clientFrames } from './frames.ts';
import { directoryPath, hostileTarget, plainPath } from './paths.ts';

const WEIGHTS = {
  get: 12,
  list: 3,
  follow: 8,
  liveRange: 2,
  make: 6,
  store: 5,
  post: 10,
  remove: 4,
  fork: 3,
  read: 6,
  readLive: 5,
  append: 12,
  form: 4,
  preflight: 3,
  otherUpgrade: 6,
  webSocketAppend: 9,
  webSocketFollow: 7,
  otherMethod: 3,
  noise: 2,
} as const;

type Kind = keyof typeof WEIGHTS;

const SESSIONS = ['aaaaaaaaaaaaaaaaaaaa', 'bbbbbbbbbbbbbbbbbbbb', 'short', '-'.repeat(128), '\xff'];
const NUMBERS = [
  '0',
  '1',
  '5',
  '-1',
  '-5',
  '{generation}',
  '9007199254740991',
  '9007199254740992',
  '1.5',
  '',
  'x',
  '%00',
];
const TYPES = [
  'text/plain',
  'application/json',
  'application/octet-stream',
  'text/html; charset=utf-8',
  'a/b',
  '',
  ';',
  'x',
];

/**
 * Makes a request that is right, or nearly so, and what goes with it. `{host}`,
 * `{offset}`, `{generation}`, `{tag}` and `{date}` in it stand for what the
 * server has said last, see {@link Memory}.
 *
 * @param canBeEncoded whether its body may be compressed
 */
export function anyExchange(random: Random, canBeEncoded: boolean): Buffer {
  const kind = random.pickWeighted<Kind>(WEIGHTS);
  const path = random.chance(0.2) ? hostileTarget(random) : plainPath(random);
  const content = () => bodyOf(random, plainContent(random), { canBeEncoded });
  switch (kind) {
    case 'get':
      return request(random, random.pick(['GET', 'GET', 'HEAD']), path, readHeaders(random));
    case 'list': {
      const accept = random.pick(['Accept: application/json', 'Accept: text/html', 'Accept: */*;q=0']);
      return request(random, 'GET', random.chance(0.8) ? directoryPath(random) : path, [accept]);
    }
    case 'follow':
      return request(random, 'GET', withQuery(path, followQuery(random)), verbHeader(random, 'FOLLOW'));
    case 'liveRange':
      return request(random, 'GET', path, [`Range: bytes=${random.pick(['0', '5', '-5'])}-9007199254740991`]);
    case 'make':
      return request(random, 'PUT', path, streamHeaders(random), typedBody(random, canBeEncoded));
    case 'store':
      return request(random, 'PUT', path, [], content());
    case 'post':
      return request(random, 'POST', path, postHeaders(random), typedBody(random, canBeEncoded));
    case 'remove':
      return request(random, 'DELETE', path, []);
    case 'fork':
      return request(random, 'PUT', path, [
        `Stream-Forked-From: ${random.chance(0.7) ? plainPath(random) : path}`,
        ...maybe(random, 0.5, `Stream-Fork-Offset: ${offset(random)}`),
        ...maybe(random, 0.3, `Stream-Fork-Sub-Offset: ${random.pick(NUMBERS)}`),
      ]);
    case 'read':
      return request(random, 'GET', withQuery(path, [`offset=${offset(random)}`]), readHeaders(random));
    case 'readLive':
      return request(
        random,
        'GET',
        withQuery(path, [
          `offset=${offset(random)}`,
          `live=${random.pick(['long-poll', 'sse', 'long-poll', 'sse', 'x', ''])}`,
          ...maybe(random, 0.2, `cursor=${random.pick(NUMBERS)}`),
        ]),
        maybe(random, 0.2, `Last-Event-ID: ${offset(random)}`),
      );
    case 'append':
      return request(
        random,
        random.pick(['POST', 'PUT']),
        withQuery(path, appendQuery(random)),
        [...verbHeader(random, 'APPEND'), ...maybe(random, 0.15, 'Expect: 100-continue')],
        content(),
      );
    case 'form': {
      const form = formContent(random);
      return request(
        random,
        'POST',
        withQuery(directoryPath(random), random.chance(0.9) ? ['verb=APPEND'] : appendQuery(random)),
        [form.header, ...verbHeader(random, 'APPEND')],
        bodyOf(random, form.content, { canBeEncoded }),
      );
    }
    case 'preflight':
      return request(random, 'OPTIONS', random.chance(0.2) ? '*' : path, [
        'Access-Control-Request-Method: PUT',
        'Access-Control-Request-Headers: x-verb,content-type',
      ]);
    case 'otherUpgrade':
      return otherUpgrade(random, path, content);
    case 'webSocketAppend':
      return webSocket(random, withQuery(path, appendQuery(random)), 'APPEND');
    case 'webSocketFollow':
      return webSocket(random, withQuery(path, followQuery(random)), 'FOLLOW');
    case 'otherMethod': {
      const method = random.pick([
        'PATCH',
        'TRACE',
        'PROPFIND',
        'CONNECT',
        'get',
        'MKCOL',
        'COPY',
        'QUERY',
        'A'.repeat(500),
        '',
      ]);
      return request(random, method, path, [], random.chance(0.5) ? content() : undefined);
    }
    case 'noise':
      return noise(random);
  }
}

/** Part of a request, or nothing: whoever sends it then says no more. */
export function halfARequest(random: Random): Buffer {
  return Buffer.from(
    random.pick([
      '',
      'G',
      'GET /one.log HTTP/1.1\r\n',
      'GET /one.log HTTP/1.1\r\nHost: {host}\r\nX-Slow: ',
      '\r\n',
    ]),
  );
}

function request(
  random: Random,
  method: string,
  target: string,
  headers: readonly string[],
  body?: Body,
): Buffer {
  const version = random.pickWeighted({
    'HTTP/1.1': 100,
    'HTTP/1.0': 5,
    'HTTP/2.0': 0.3,
    'HTTP/0.9': 0.3,
    'http/1.1': 0.3,
  });
  const lines = [...headers, ...commonHeaders(random), ...(body?.headers ?? [])];
  // What a parser reads does not depend on the order.
  if (random.chance(0.1)) lines.reverse();
  const head = [`${method} ${target} ${version}`, ...hostHeaders(random), ...lines, '', ''].join('\r\n');
  return Buffer.concat([Buffer.from(head, 'latin1'), ...(body === undefined ? [] : [body.bytes])]);
}

function hostHeaders(random: Random): string[] {
  switch (random.pickWeighted({ right: 120, local: 4, other: 2, none: 1, two: 1, broken: 1 })) {
    case 'right':
      return ['Host: {host}'];
    case 'local':
      return [`Host: ${random.pick(['localhost', 'test', '[::1]', 'a.localhost:80', 'x.internal'])}`];
    case 'other':
      return [`Host: ${random.pick(['evil.example', '127.0.0.1.evil.example', 'LOCALHOST.', '0x7f.1'])}`];
    case 'none':
      return [];
    case 'two':
      return ['Host: {host}', `Host: ${random.pick(['{host}', 'evil.example'])}`];
    case 'broken':
      return [
        `Host: ${random.pick(['', ' ', 'a b', '{host}/../', 'me:secret@{host}', '[', '\x80', 'a:99999'])}`,
      ];
  }
}

function commonHeaders(random: Random): string[] {
  return [
    ...maybe(random, 0.1, 'Connection: close'),
    ...maybe(random, 0.1, 'Connection: keep-alive'),
    ...maybe(random, 0.1, 'Accept: text/plain'),
    ...maybe(
      random,
      0.05,
      `Origin: ${random.pick(['http://{host}', 'https://evil.example', 'null', '', 'http://'])}`,
    ),
    ...maybe(random, 0.03, `Sec-Fetch-Site: ${random.pick(['same-origin', 'cross-site', 'none', 'x'])}`),
    ...maybe(random, 0.05, 'Accept-Encoding: gzip, br, identity;q=0'),
    ...maybe(random, 0.03, 'Expect: 100-continue'),
    ...maybe(random, 0.02, 'Expect: something-else'),
    ...maybe(random, 0.03, `X-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: https`),
    ...maybe(random, 0.02, 'Keep-Alive: timeout=0, max=0'),
    ...maybe(random, 0.02, 'TE: trailers, deflate;q=0.5'),
    ...maybe(random, 0.01, ` folded`),
    ...maybe(random, 0.01, `X-Large: ${'x'.repeat(random.logInteger(100, 60_000))}`),
    ...maybe(random, 0.005, 'X-Many: 1\r\n'.repeat(random.logInteger(10, 3000)).trimEnd()),
  ];
}

function readHeaders(random: Random): string[] {
  const number = () =>
    random.pick(['0', '1', '10', '50', '1000000', '9007199254740991', '18446744073709551616', '']);
  const range = () => `${number()}-${number()}`;
  return [
    ...maybe(random, 0.3, `Range: ${random.pick(['bytes', 'bytes', 'bytes', 'lines', ''])}=${range()}`),
    ...maybe(
      random,
      0.05,
      `Range: bytes=${Array.from({ length: random.logInteger(2, 500) }, range).join(',')}`,
    ),
    ...maybe(random, 0.1, `If-None-Match: ${random.pick(['{tag}', '*', 'W/{tag}', '"', '{tag}, "a"'])}`),
    ...maybe(
      random,
      0.1,
      `If-Modified-Since: ${random.pick(['{date}', 'Thu, 01 Jan 1970 00:00:00 GMT', 'never', '0'])}`,
    ),
    ...maybe(random, 0.1, `If-Range: ${random.pick(['{tag}', '{date}', 'W/"a"', ''])}`),
    ...maybe(random, 0.05, `If-Match: ${random.pick(['{tag}', '*'])}`),
    ...maybe(
      random,
      0.1,
      `Accept: ${random.pick(['application/x-ndjson', 'application/json', '', 'a/b;q=x', '*/*;q=0'])}`,
    ),
  ];
}

/** The verb, in the header or not: {@link appendQuery} and {@link followQuery} have it, too. */
function verbHeader(random: Random, verb: string): string[] {
  return maybe(
    random,
    0.4,
    `X-Verb: ${random.chance(0.95) ? verb : random.pick(['append', 'GET', '', 'FOLLOW, APPEND'])}`,
  );
}

function followQuery(random: Random): string[] {
  return [
    ...maybe(random, 0.9, 'verb=FOLLOW'),
    ...maybe(random, 0.2, `from=${random.pick(NUMBERS)}`),
    ...maybe(random, 0.2, `lines=${random.pick(NUMBERS)}`),
    ...maybe(random, 0.15, `generation=${random.pick(NUMBERS)}`),
    ...maybe(random, 0.2, `wait=${random.pick(['0', '1', '3600', '86400', '86401', '-1', 'x', '0.1'])}`),
  ];
}

function appendQuery(random: Random): string[] {
  return [
    ...maybe(random, 0.95, 'verb=APPEND'),
    ...maybe(random, 0.3, `session=${random.pick(SESSIONS)}`),
    ...maybe(random, 0.15, `attempt=${random.integer(0, 5)}`),
    ...maybe(random, 0.1, `expect=${random.pick(NUMBERS)}`),
    ...maybe(random, 0.1, `generation=${random.pick(NUMBERS)}`),
    ...maybe(random, 0.05, `lines=${random.pick(NUMBERS)}`),
  ];
}

function streamHeaders(random: Random): string[] {
  return [
    ...maybe(
      random,
      0.15,
      `Stream-TTL: ${random.pick(['1', '2', '3600', '0', '-1', 'x', '99999999999999999999'])}`,
    ),
    ...maybe(
      random,
      0.1,
      `Stream-Expires-At: ${random.pick(['2099-01-01T00:00:00Z', '1970-01-01T00:00:00Z', 'x', ''])}`,
    ),
    ...maybe(random, 0.15, 'Stream-Closed: true'),
  ];
}

function postHeaders(random: Random): string[] {
  const producer = () => [
    `Producer-Id: ${random.pick(['p', 'q', 'p', 'q', 'p', 'q', '', 'r'.repeat(1025)])}`,
    `Producer-Epoch: ${random.pick(['0', '0', '0', '0', '1', '1', 'x', '-1'])}`,
    `Producer-Seq: ${random.pick(['0', '0', '1', '1', '2', '3', '9007199254740993', ''])}`,
  ];
  return [
    ...(random.chance(0.3) ? producer().filter(() => random.chance(0.95)) : []),
    ...maybe(random, 0.1, `Stream-Seq: ${random.pick(['1', '2', 'a', '', 's'.repeat(1025)])}`),
    ...maybe(random, 0.1, `Stream-Closed: ${random.pick(['true', 'TRUE', 'false', ''])}`),
  ];
}

function typedBody(random: Random, canBeEncoded: boolean): Body {
  const isJson = random.chance(0.4);
  const type = random.chance(0.8) ? (isJson ? 'application/json' : 'text/plain') : random.pick(TYPES);
  const { headers, bytes } = bodyOf(random, isJson ? jsonContent(random) : plainContent(random), {
    canBeEncoded,
  });
  return { headers: [...maybe(random, 0.9, `Content-Type: ${type}`), ...headers], bytes };
}

function offset(random: Random): string {
  return random.pick([
    '-1',
    'now',
    '{offset}',
    '{offset}',
    '0000000000000000_0000000000000000',
    '{generation}_0000000000000005',
    'x',
    '',
    '9'.repeat(40),
  ]);
}

function otherUpgrade(random: Random, path: string, content: () => Body): Buffer {
  const protocol = random.pick([
    'h2c',
    'h2c',
    'h2c',
    'TLS/1.0',
    'websocket, h2c',
    'websocket',
    'h2c, websocket',
    '',
  ]);
  const headers = [
    `Upgrade: ${protocol}`,
    `Connection: ${random.pick(['Upgrade', 'Upgrade, HTTP2-Settings', 'keep-alive, upgrade'])}`,
    'HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA',
  ];
  const method = random.pick(['GET', 'GET', 'HEAD', 'PUT', 'POST', 'DELETE', 'OPTIONS']);
  const hasBody = method.startsWith('P') || random.chance(0.1);
  const target = hasBody && random.chance(0.5) ? withQuery(path, appendQuery(random)) : path;
  return request(random, method, target, headers, hasBody ? content() : undefined);
}

function webSocket(random: Random, target: string, verb: 'APPEND' | 'FOLLOW'): Buffer {
  const headers = [
    'Upgrade: websocket',
    'Connection: Upgrade',
    `Sec-WebSocket-Version: ${random.chance(0.97) ? '13' : random.pick(['8', '', '13, 8', '99'])}`,
    `Sec-WebSocket-Key: ${random.chance(0.97) ? 'dGhlIHNhbXBsZSBub25jZQ==' : random.pick(['', 'x', 'A'.repeat(500)])}`,
    ...maybe(
      random,
      0.5,
      `Sec-WebSocket-Protocol: ${random.pick(['httpfstream.v2', 'httpfstream.v2', 'x, httpfstream.v2', 'y', ','])}`,
    ),
    ...maybe(random, 0.2, 'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits'),
    ...verbHeader(random, verb),
  ];
  const handshake = request(random, random.chance(0.97) ? 'GET' : 'POST', target, headers);
  return Buffer.concat([handshake, clientFrames(random)]);
}

/** What does not even look like a request. */
function noise(random: Random): Buffer {
  switch (random.pickWeighted({ http2: 2, tls: 2, lines: 1, bytes: 2 })) {
    case 'http2':
      return Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0', 'latin1');
    case 'tls':
      return Buffer.from('\x16\x03\x01\0\xa5\x01\0\0\xa1\x03\x03'.padEnd(170, 'r'), 'latin1');
    case 'lines':
      return Buffer.from('\r\n'.repeat(random.logInteger(1, 2000)));
    case 'bytes':
      return Buffer.from(Array.from({ length: random.logInteger(1, 500) }, () => random.integer(0, 255)));
  }
}

function withQuery(path: string, parameters: readonly string[]): string {
  if (parameters.length === 0) return path;
  return `${path}${path.includes('?') ? '&' : '?'}${parameters.join('&')}`;
}

function maybe(random: Random, probability: number, line: string): string[] {
  return random.chance(probability) ? [line] : [];
}
