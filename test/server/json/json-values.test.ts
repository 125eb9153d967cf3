import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { JsonLines } from '../../../src/server/json/json-lines.ts';
import { arrayOfLines, linesOfJson } from '../../../src/server/json/json-values.ts';
import { Turns } from '../../../src/server/node/requests/turns.ts';
import { InvalidRequestError } from '../../../src/wire/errors.ts';

/** The lines of a document; undefined when it is refused. */
async function linesOf(json: string | Buffer): Promise<string[] | undefined> {
  try {
    const lines = (await linesOfJson(Buffer.from(json as string), new Turns())).toString();
    return lines === '' ? [] : lines.slice(0, -1).split('\n');
  } catch (error) {
    if (error instanceof InvalidRequestError) return undefined;
    throw error;
  }
}

/** What JSON.parse makes of a document, as the lines of a stream would have it; undefined when it is refused. */
function parsed(json: string): unknown[] | undefined {
  try {
    const value = JSON.parse(json) as unknown;
    return Array.isArray(value) ? value : [value];
  } catch {
    return undefined;
  }
}

const whitespace = fc.string({ unit: fc.constantFrom(' ', '\t', '\n', '\r'), maxLength: 3 });

/** A document as JSON.stringify would not write it: with spaces and line ends between all tokens. */
const documents = fc
  .tuple(fc.jsonValue({ maxDepth: 4 }), fc.infiniteStream(whitespace))
  .map(([value, spaces]) =>
    JSON.stringify(value).replace(/"(?:[^"\\]|\\.)*"|[[\]{},:]|[^[\]{},:"]+/g, (token) => {
      return `${spaces.next().value}${token}${spaces.next().value}`;
    }),
  );

/** Documents with something wrong in them, more often than not. */
const damaged = fc
  .tuple(
    documents,
    fc.nat(),
    fc.constantFrom(
      '',
      ',',
      '"',
      '\\',
      '[',
      ']',
      '{',
      '}',
      ':',
      '-',
      '0',
      'e',
      '.',
      't',
      '\n',
      '\u0001',
      ' ',
    ),
  )
  .map(([json, at, by]) => {
    const position = at % (json.length + 1);
    return json.slice(0, position) + by + json.slice(position + (at % 2));
  });

const soup = fc.string({
  unit: fc.constantFrom(...'[]{},:"\\ \n\t-+.eE0123u', 'true', 'false', 'null', 'é', '\u2028', '"a"', '1'),
  maxLength: 12,
});

async function agrees(json: string): Promise<void> {
  const lines = await linesOf(json);
  const values = parsed(json);
  expect(
    lines?.map((line) => JSON.parse(line)),
    JSON.stringify(json),
  ).toEqual(values);
  for (const line of lines ?? []) expect(line).toBe(line.trim());
}

describe('a document is taken', () => {
  test('exactly when JSON.parse takes it, and has the same values', async () => {
    await fc.assert(fc.asyncProperty(fc.oneof(documents, damaged, soup), agrees), { numRuns: 1000 });
  });

  test.each([
    ...[
      '',
      ' ',
      '[',
      ']',
      '{',
      '}',
      '[]',
      '{}',
      '[,]',
      '[1,]',
      '[,1]',
      '[1 2]',
      '[1],',
      '[]]',
      '[[]',
      '{]',
      '[}',
    ],
    ...[
      '{"a"}',
      '{"a":}',
      '{"a":1,}',
      '{,}',
      '{a:1}',
      "{'a':1}",
      '{"a":1 "b":2}',
      '{"a" 1}',
      '{1:1}',
      '{"a":1}}',
    ],
    ...[
      '0',
      '-0',
      '-',
      '+1',
      '01',
      '-01',
      '1.',
      '.1',
      '1.e1',
      '1e',
      '1e+',
      '1E-2',
      '1e+02',
      '0e1',
      '0.0',
      '1.0E+2',
      '0x1',
      '--1',
    ],
    ...['1 ', ' 1', '1 1', '1,', '00', '1e1.1', '1-', '1+1', 'NaN', 'Infinity', '-Infinity', '1_000', '1n'],
    ...[
      'true',
      'tru',
      'truee',
      'true ',
      'TRUE',
      'nul',
      'nulll',
      'null',
      'false',
      'fals',
      't',
      'n',
      'f',
      'undefined',
    ],
    ...[
      '""',
      '"',
      '"a',
      '"\\',
      '"\\"',
      '"\\"',
      '"\\x"',
      '"\\u"',
      '"\\u12"',
      '"\\u123g"',
      '"\\u12345"',
      '"\\uD800"',
      '"\\U0041"',
    ],
    ...[
      '"\\b\\f\\n\\r\\t\\/\\\\\\""',
      '"\u0000"',
      '"\u001f"',
      '"\t"',
      '"\n"',
      '"\u007f"',
      '"\u2028"',
      '"é"',
      '"\u{10ffff}"',
      '"a"b',
    ],
    ...[
      '\ufeff1',
      '1\ufeff',
      '\u00a01',
      '\u000b1',
      '\f1',
      '1\u0000',
      '[1]\u0000',
      '/**/1',
      '1//',
      '[1,/**/2]',
      '\u2028',
    ],
    ...[
      '[[[[]]]]',
      '[{"a":[{"b":[]}]}]',
      '{"a":{"a":{"a":{}}}}',
      '{"":""}',
      '{"a":1,"a":2}',
      '[null,true,-1.5e3,"",{},[]]',
    ],
  ])('%j as by JSON.parse', agrees);

  test('only when it is UTF-8', async () => {
    for (const bytes of [[0xff], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0xe2, 0x82], [0xf5, 0x80, 0x80, 0x80]]) {
      expect(await linesOf(Buffer.from([0x22, ...bytes, 0x22]))).toBeUndefined();
    }
  });

  test('to a depth of 1,000', async () => {
    const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);
    expect(await linesOf(nested(1000))).toEqual([nested(999)]);
    expect(await linesOf(nested(1001))).toBeUndefined();
    expect(await linesOf('{"a":'.repeat(1000) + 1 + '}'.repeat(1000))).toHaveLength(1);
    expect(await linesOf('{"a":'.repeat(1001) + 1 + '}'.repeat(1001))).toBeUndefined();
  });
});

test('a document that is gone through in bits gives what it gives in one', () => {
  fc.assert(
    fc.property(documents, fc.integer({ min: 1, max: 7 }), (json, bytes) => {
      const inBits = new JsonLines(Buffer.from(json));
      while (inBits.advance(bytes));
      const atOnce = new JsonLines(Buffer.from(json));
      expect(atOnce.advance(Number.MAX_SAFE_INTEGER)).toBe(false);
      expect(inBits.lines().toString()).toBe(atOnce.lines().toString());
    }),
  );
});

test('lines and arrays are each other', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.jsonValue()), async (values) => {
      const lines = await linesOfJson(Buffer.from(JSON.stringify(values)), new Turns());
      expect(JSON.parse(arrayOfLines(lines).toString())).toEqual(JSON.parse(JSON.stringify(values)));
    }),
  );
});

test('between the bits of a long document others have their turn, and other documents', async () => {
  const turns = new Turns();
  const order: string[] = [];
  const long = (name: string) =>
    linesOfJson(Buffer.from(`[${'0,'.repeat(500_000)}0]`), turns).then(() => order.push(name));
  const documents = [long('first'), long('second')];
  let immediates = 0;
  const count = () => {
    immediates++;
    if (order.length < 2) setImmediate(count);
  };
  setImmediate(count);
  await linesOfJson(Buffer.from('[1]'), turns).then(() => order.push('short'));
  await Promise.all(documents);
  // A short one waits for nobody, and each bit of the long ones has a turn of its own.
  expect(order).toEqual(['short', 'first', 'second']);
  expect(immediates).toBeGreaterThanOrEqual(12);
});
