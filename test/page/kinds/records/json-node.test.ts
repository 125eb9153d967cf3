import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type JsonNode, parseJson } from '../../../../src/page/kinds/records/json-node.ts';

/** What `JSON.parse` would give. */
function plain(node: JsonNode): unknown {
  switch (node.kind) {
    case 'object': {
      const members = node.members.map(({ key, value }) => [key, plain(value)] as const);
      return Object.fromEntries(members);
    }
    case 'array':
      return node.items.map(plain);
    case 'number':
      return Number(node.text);
    case 'null':
      return null;
    default:
      return node.value;
  }
}

function parsedBy(parse: (text: string) => unknown, text: string): unknown {
  try {
    return { value: parse(text) };
  } catch {
    return 'none';
  }
}

test('a value is what JSON.parse makes of it', () => {
  fc.assert(
    fc.property(fc.json(), fc.constantFrom(undefined, 1, '\t'), (text, space) => {
      const spaced = JSON.stringify(JSON.parse(text), undefined, space);
      expect(plain(parseJson(spaced).node!)).toEqual(JSON.parse(text));
    }),
  );
});

test('what JSON.parse refuses is no value, and nothing else is', () => {
  // Pieces of JSON in any order: most are none, many are nearly.
  const pieces =
    '{ } [ ] , : "a" "\\n" "\\x" "\\u00e4" "\u0001" " 1 -0 01 1. 1.5e-3 1e +1 true null nul \ufeff NaN'.split(
      ' ',
    );
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...pieces, ' ', '\n', '\u00a0'), { maxLength: 8 }), (array) => {
      const text = array.join('');
      const own = parseJson(text).node;
      const expected = parsedBy(JSON.parse, text);
      expect(own === undefined ? 'none' : { value: plain(own) }, text).toEqual(expected);
    }),
    { numRuns: 500 },
  );
});

test('what JSON.parse loses is kept: digits, the order of members, and members of one name', () => {
  const { node } = parseJson('{"2":12345678901234567890,"1":1.10,"__proto__":1,"1":null}');
  expect(node).toEqual({
    kind: 'object',
    members: [
      { key: '2', value: { kind: 'number', text: '12345678901234567890' } },
      { key: '1', value: { kind: 'number', text: '1.10' } },
      { key: '__proto__', value: { kind: 'number', text: '1' } },
      { key: '1', value: { kind: 'null' } },
    ],
  });
});

test('what is nested too deep is not read, nor called invalid, and exhausts nothing', () => {
  const nested = (depth: number) => parseJson('['.repeat(depth) + ']'.repeat(depth));
  expect(nested(256)).toMatchObject({ node: { kind: 'array' }, isTooDeep: false });
  const tooDeep = { node: undefined, isTooDeep: true };
  expect(nested(300)).toEqual(tooDeep);
  expect(parseJson('{"a":'.repeat(65_536))).toEqual(tooDeep);
  expect(parseJson('[1,]')).toEqual({ node: undefined, isTooDeep: false });
  expect(parseJson(`"${'\\n'.repeat(200_000)}`).node).toBeUndefined();
});
