import { readFile } from 'node:fs/promises';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { send } from '../../support/http/request.ts';
import { NEVER_MS } from '../../support/patience.ts';
import type { TestServer } from '../../support/server/server.ts';
import { standaloneForAll } from '../../support/server/server-for-all.ts';
import { SseReader } from '../../support/streams/sse-reader.ts';
import { StreamPeer } from '../../support/streams/stream-peer.ts';
import { waitFor } from '../../support/wait-for.ts';

const common = standaloneForAll({ longPollMs: NEVER_MS });

async function startJson(body?: string): Promise<{ server: TestServer; stream: StreamPeer }> {
  const server = await common.guest();
  const stream = new StreamPeer(server, '/values', 'application/json');
  expect((await stream.create({}, body)).status).toBe(201);
  return { server, stream };
}

/** The lines of the file behind a stream, without the last line end. */
async function linesOf(server: TestServer, stream: StreamPeer): Promise<string[]> {
  const text = await readFile(path.join(server.root, stream.path), 'utf8');
  if (text === '') return [];
  expect(text.endsWith('\n')).toBe(true);
  return text.slice(0, -1).split('\n');
}

/** What no parser of JavaScript keeps. */
const NUMBERS = [
  '1e400',
  '-1e400',
  '12345678901234567890.123',
  '123456789012345678901234567890',
  '-0',
  '-0.0',
  '1.0',
  '1.10',
  '1E+2',
  '1e-400',
  '0.1000000000000000055511151231257827',
];

describe('a JSON value keeps', () => {
  test('its number as it was written', async () => {
    const { server, stream } = await startJson();
    for (const number of NUMBERS) expect((await stream.append(number)).status).toBe(204);
    expect((await stream.append(`[${NUMBERS.join(', ')}]`)).status).toBe(204);
    expect((await stream.append(`{"n":[${NUMBERS.join(',')}]}`)).status).toBe(204);
    const expected = [...NUMBERS, ...NUMBERS, `{"n":[${NUMBERS.join(',')}]}`];
    expect(await linesOf(server, stream)).toEqual(expected);
    const { text } = await stream.read();
    expect(text.startsWith('[') && text.trimEnd().endsWith(']')).toBe(true);
    for (const number of NUMBERS) expect(text).toContain(number);
    expect(text.replaceAll(/\s/g, '')).toBe(`[${expected.join(',')}]`);
  });

  test('its number in events and long-polls too', async () => {
    const { stream } = await startJson();
    const { nextOffset } = await stream.head();
    const reader = await SseReader.open(stream.url);
    const polled = stream.longPoll(nextOffset);
    await stream.append('12345678901234567890.123');
    await reader.waitForData('12345678901234567890.123');
    expect((await polled).text.replaceAll(/\s/g, '')).toBe('[12345678901234567890.123]');
    expect(reader.data.replaceAll(/\s/g, '')).toBe('[12345678901234567890.123]');
  });

  test('keys that come twice, and their order', async () => {
    const { server, stream } = await startJson();
    await stream.append('{"b":1,"a":2,"b":3,"__proto__":4,"constructor":5,"10":6,"9":7}');
    const kept = '{"b":1,"a":2,"b":3,"__proto__":4,"constructor":5,"10":6,"9":7}';
    expect(await linesOf(server, stream)).toEqual([kept]);
    expect((await stream.read()).text).toContain(kept);
  });

  test('escapes as they were written, and characters that need none', async () => {
    const { server, stream } = await startJson();
    const strings = [
      '"\\u0041\\/\\ud83d\\ude00"',
      '"\\ud800"',
      '"\u2028\u2029"',
      '"é😀\u{10ffff}"',
      '"[,]{}\\"\\\\"',
      '"\\\\\\",["',
      '""',
      '"\u007f"',
    ];
    await stream.append(`[${strings.join(',')}]`);
    expect(await linesOf(server, stream)).toEqual(strings);
    expect(JSON.parse((await stream.read()).text)).toEqual(strings.map((text) => JSON.parse(text)));
  });

  test('what it is, on one line, however many line ends stand between its tokens', async () => {
    const { server, stream } = await startJson();
    const bodies = [
      '{\r\n  "a" : [ 1,\n 2 ],\r  "b\\n" : "x\\r\\ny"\n}\n',
      '\r\n\t 7 \r\n',
      '\n[\n1\n,\r\n{\n"k"\n:\n2\n}\n]\n',
      '[\r[\r1\r]\r]\r',
    ];
    for (const body of bodies) expect((await stream.append(body)).status).toBe(204);
    const lines = await linesOf(server, stream);
    const values = [{ a: [1, 2], 'b\n': 'x\r\ny' }, 7, 1, { k: 2 }, [1]];
    expect(lines.map((line) => JSON.parse(line))).toEqual(values);
    for (const line of lines) expect(line).not.toMatch(/\r/);
    expect(JSON.parse((await stream.read()).text)).toEqual(values);
  });

  test('the digits on both sides of a line end apart', async () => {
    const { stream } = await startJson();
    expect((await stream.append('1\n2')).status).toBe(400);
    expect((await stream.append('[1\n2]')).status).toBe(400);
    expect((await stream.append('tr\nue')).status).toBe(400);
    expect((await stream.append('"a\nb"')).status).toBe(400);
    expect((await stream.read()).text.trim()).toBe('[]');
  });
});

describe('a batch', () => {
  const BATCHES: readonly [body: string, values: readonly string[]][] = [
    ['[1,2]', ['1', '2']],
    ['[[1,2],[3,4]]', ['[1,2]', '[3,4]']],
    ['[[[1,2,3]]]', ['[[1,2,3]]']],
    ['[[]]', ['[]']],
    ['[[],{}]', ['[]', '{}']],
    ['[null]', ['null']],
    ['null', ['null']],
    ['false', ['false']],
    ['""', ['""']],
    ['{}', ['{}']],
    ['{"a":[1,[2,{"b":[]}]]}', ['{"a":[1,[2,{"b":[]}]]}']],
    ['["a,b","[","]","{\\"x\\":[1,2]}"]', ['"a,b"', '"["', '"]"', '"{\\"x\\":[1,2]}"']],
    ['[{"a":"},{"},{"b":"],["}]', ['{"a":"},{"}', '{"b":"],["}']],
    [`[${' 1 ,'.repeat(999)} 1 ]`, Array.from({ length: 1000 }, () => '1')],
  ];

  test.each(BATCHES.map(([body, values]) => [body.slice(0, 40), body, values] as const))(
    '%s is taken apart by one level',
    async (_, body, values) => {
      const { server, stream } = await startJson();
      expect((await stream.append(body)).status).toBe(204);
      expect((await linesOf(server, stream)).map((line) => line.trim())).toEqual(values);
      expect(JSON.parse((await stream.read()).text)).toEqual(values.map((value) => JSON.parse(value)));
    },
  );

  test('of nothing is refused, whatever space is in it, and a new stream may begin with it', async () => {
    const { server, stream } = await startJson('[ \n ]');
    expect((await stream.read()).text.trim()).toBe('[]');
    for (const body of ['[]', ' [ \r\n ] ', '', ' ', '\n']) {
      expect([body, (await stream.append(body)).status]).toEqual([body, 400]);
    }
    expect(await linesOf(server, stream)).toEqual([]);
  });

  test('is there as a whole or not at all', async () => {
    const { stream } = await startJson('["before"]');
    for (const body of ['[1,2,]', '[1,2', '[1,2]]', '[1,2],3', '[1,{"a":}]', '[1,02]', '{"a":1}{"b":2}']) {
      const refused = await stream.append(body);
      expect([body, refused.status, refused.code]).toEqual([body, 400, 'HFS_INVALID_REQUEST']);
    }
    expect(JSON.parse((await stream.read()).text)).toEqual(['before']);
  });

  test('of 100,000 values comes back as it was, over as many answers as that takes', async () => {
    const { stream } = await startJson();
    const values = Array.from({ length: 100_000 }, (_, index) => ({ index, text: `value ${index}` }));
    expect((await stream.append(JSON.stringify(values))).status).toBe(204);
    const seen: unknown[] = [];
    for (let offset = '-1', answers = 0; answers < 100; answers++) {
      const answer = await stream.read(offset);
      expect(answer.status).toBe(200);
      seen.push(...(JSON.parse(answer.text) as unknown[]));
      if (answer.headers['stream-up-to-date'] === 'true') break;
      offset = answer.nextOffset;
    }
    expect(seen.length).toBe(values.length);
    expect(seen.findIndex((value, i) => JSON.stringify(value) !== JSON.stringify(values[i]))).toBe(-1);
  });
});

describe('a JSON stream', () => {
  test('is read from each offset on as the array of the values after it', async () => {
    const { stream } = await startJson();
    const offsets = [(await stream.head()).nextOffset];
    for (let k = 0; k < 5; k++) offsets.push((await stream.append(`[${k}, "${k}"]`)).nextOffset);
    for (const [k, offset] of offsets.entries()) {
      const expected = [0, 1, 2, 3, 4].slice(k).flatMap((value) => [value, String(value)]);
      expect(JSON.parse((await stream.read(offset)).text)).toEqual(expected);
      const reader = await SseReader.open(stream.url, offset);
      await reader.waitUntilUpToDate();
      const events = reader.events.filter(({ event }) => event === 'data');
      expect(events.flatMap(({ data }) => JSON.parse(data) as unknown[])).toEqual(expected);
      reader.destroy();
    }
  });

  test('gives something whole, or a refusal, from an offset that nobody was told', async () => {
    const { stream } = await startJson('[{"a":1},"two",[3]]');
    const { nextOffset } = await stream.head();
    const [generation, size] = nextOffset.split('_');
    for (let position = 0; position <= Number(size); position++) {
      const answer = await stream.read(`${generation}_${String(position).padStart(16, '0')}`);
      if (answer.status === 200) expect(Array.isArray(JSON.parse(answer.text))).toBe(true);
      else expect(answer.status).toBe(400);
    }
  });

  test('is its lines for who asks for them', async () => {
    const { server, stream } = await startJson('[1, {"two": 2}]');
    const lines = await stream.read('-1', { accept: 'application/x-ndjson' });
    expect(lines.status).toBe(200);
    expect(lines.headers['content-type']).toContain('application/x-ndjson');
    expect(lines.text).toBe(await readFile(path.join(server.root, stream.path), 'utf8'));
    expect(lines.headers.vary?.toLowerCase()).toContain('accept');
    const array = await stream.read();
    expect(array.headers['content-type']).toBe('application/json');
    expect(array.headers.etag).not.toBe(lines.headers.etag);
    expect(
      (await stream.read('-1', { accept: 'application/x-ndjson', 'if-none-match': array.headers.etag }))
        .status,
    ).toBe(200);
  });

  test('takes values that come in chunks, cut anywhere', async () => {
    const { stream } = await startJson();
    const body = Buffer.from('[{"é":"😀"},12345678901234567890]');
    const pieces = [...body].map((byte) => Buffer.of(byte));
    expect((await stream.append(pieces)).status).toBe(204);
    expect((await stream.read()).text.replaceAll(/\s/g, '')).toBe('[{"é":"😀"},12345678901234567890]');
  });

  test('is not what a file is whose name only says so', async () => {
    const { server } = await startJson();
    const stream = new StreamPeer(server, '/document.json', 'text/plain');
    await stream.create({}, '{"not": "taken apart",\n"as": [1, 2]}');
    expect((await stream.read()).text).toBe('{"not": "taken apart",\n"as": [1, 2]}');
    expect((await stream.append('not JSON')).status).toBe(204);
  });

  test.each(['{\n  "a": 1\n}\n', '{"a":1}'])(
    'is not what an append has made below such a name: %j is a document, however it is read',
    async (document) => {
      const server = await common.guest();
      const stream = new StreamPeer(server, '/document.json');
      expect((await send('PUT', `${stream.url}?verb=APPEND`, { body: document })).status).toBe(201);
      const { nextOffset } = await stream.head();
      const [generation] = nextOffset.split('_');
      const within = `${generation}_${String(1).padStart(16, '0')}`;
      for (const [offset, text] of [
        ['-1', document],
        [within, document.slice(1)],
      ] as const) {
        const reader = await SseReader.open(stream.url, offset);
        await reader.waitUntilUpToDate();
        expect(reader.data).toBe(text);
        expect((await stream.read(offset)).text).toBe(text);
        expect((await stream.longPoll(offset)).text).toBe(text);
      }
    },
  );

  test('has whatever values come, with whatever space between them', async () => {
    const { server, stream } = await startJson();
    const space = fc.string({ unit: fc.constantFrom(' ', '\t', '\n', '\r', ''), maxLength: 3 });
    let expected: unknown[] = [];
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.jsonValue({ maxDepth: 3 }), { minLength: 1 }),
        fc.array(space),
        async (values, spaces) => {
          const body = spaced(JSON.stringify(values), spaces);
          expect((await stream.append(body)).status).toBe(204);
          expected = [...expected, ...values.map((value) => JSON.parse(JSON.stringify(value)))];
        },
      ),
      { numRuns: 60 },
    );
    await waitFor(async () => (await linesOf(server, stream)).length === expected.length, 'all lines');
    expect((await linesOf(server, stream)).map((line) => JSON.parse(line))).toEqual(expected);
    const all: unknown[] = [];
    for (let offset = '-1', answers = 0; answers < 100; answers++) {
      const answer = await stream.read(offset);
      all.push(...(JSON.parse(answer.text) as unknown[]));
      if (answer.headers['stream-up-to-date'] === 'true') break;
      offset = answer.nextOffset;
    }
    expect(all).toEqual(expected);
  });
});

/** The same document with space between its tokens. */
function spaced(json: string, spaces: readonly string[]): string {
  let token = 0;
  return json.replaceAll(/"(?:[^"\\]|\\.)*"|[[\]{},:]|[^[\]{},:"]+/g, (text) => {
    const space = spaces[token++ % Math.max(1, spaces.length)] ?? '';
    return `${space}${text}${space}`;
  });
}
