import fc from 'fast-check';
import { expect, it } from 'vitest';
import { literalMatcher, type Matcher, textMatcher } from '../../src/search/matcher.ts';
import { MAX_LINE_BYTES, NUMBERS_PER_MATCH, type WantedMatches } from '../../src/search/matches.ts';
import { InvalidPatternError, patternOf, type SearchQuery } from '../../src/search/search-query.ts';

const ALL: WantedMatches = { max: 1000, last: false, onePerLine: false };

function query(text: string, rest: Partial<SearchQuery> = {}): SearchQuery {
  return { text, mode: 'literal', case: 'sensitive', ...rest };
}

function regex(text: string, rest: Partial<SearchQuery> = {}): Matcher {
  return textMatcher(patternOf(query(text, { mode: 'regex', ...rest })));
}

/** What was found, as the bytes that it stands for. */
function found(matcher: Matcher, content: string | Buffer, wanted: Partial<WantedMatches> = {}): string[] {
  const bytes = Buffer.from(content);
  return numbersOf(matcher, bytes, wanted).map(([at, end]) => bytes.subarray(at, end).toString());
}

function numbersOf(matcher: Matcher, bytes: Buffer, wanted: Partial<WantedMatches> = {}): number[][] {
  const numbers = matcher({ bytes, start: 0, end: bytes.length }, { ...ALL, ...wanted });
  return Array.from({ length: numbers.length / NUMBERS_PER_MATCH }, (_, i) =>
    numbers.slice(i * NUMBERS_PER_MATCH, (i + 1) * NUMBERS_PER_MATCH),
  );
}

it('finds a literal text, with each match where it is and the line that has it', () => {
  const bytes = Buffer.from('one\ntwo tööt two\nthree\n');
  expect(numbersOf(literalMatcher(query('two')), bytes)).toEqual([
    [4, 7, 4, 18],
    [15, 18, 4, 18],
  ]);
  expect(numbersOf(literalMatcher(query('ööt')), bytes)).toEqual([[9, 14, 4, 18]]);
});

it('tells small and capital letters apart, or does not, or does when there is a capital one', () => {
  const content = 'Error ERROR error Äther äther';
  expect(found(literalMatcher(query('error')), content)).toEqual(['error']);
  expect(found(literalMatcher(query('error', { case: 'insensitive' })), content)).toEqual([
    'Error',
    'ERROR',
    'error',
  ]);
  expect(found(literalMatcher(query('error', { case: 'smart' })), content)).toHaveLength(3);
  expect(found(literalMatcher(query('Error', { case: 'smart' })), content)).toEqual(['Error']);
  expect(found(literalMatcher(query('äther', { case: 'smart' })), content)).toEqual(['Äther', 'äther']);
  expect(found(regex('e\\w+r\\S', { case: 'smart' }), 'Errors')).toEqual(['Errors']);
  expect(found(regex('E\\w+', { case: 'smart' }), 'Error error')).toEqual(['Error']);
});

it('means by a literal text what it says', () => {
  expect(found(literalMatcher(query('a.c[1]\\d', { case: 'insensitive' })), 'abc1 A.C[1]\\D')).toEqual([
    'A.C[1]\\D',
  ]);
});

it('finds what has colours or links inside, and tells where it is with them', () => {
  const link = '\x1b]8;;http://example.test/\x1b\\';
  const content = `EC\x1b[1;31mON\x1b[mN\x1b(B ${link}ECO${link}NN\x1b]0;title\x07`;
  const matches = ['EC\x1b[1;31mON\x1b[mN', `ECO${link}NN`];
  for (const matcher of [
    literalMatcher(query('ECONN')),
    literalMatcher(query('econn', { case: 'smart' })),
    regex('ECO+N{2}'),
  ]) {
    expect(found(matcher, content)).toEqual(matches);
  }
});

it('finds what begins in what looked like another beginning', () => {
  expect(found(literalMatcher(query('aab')), 'aaa\x1b[mab')).toEqual(['a\x1b[mab']);
});

it('finds among any number of beginnings, which have colours in them, what goes on as the text', () => {
  const ruler = `\x1b[32m${'='.repeat(100)}\x1b[m`;
  const content = `${`${ruler}\n`.repeat(500)}${ruler}x\n`;
  const match = `${'='.repeat(31)}\x1b[mx`;
  for (const wanted of ['sensitive', 'insensitive'] as const) {
    expect(found(literalMatcher(query(`${'='.repeat(31)}x`, { case: wanted })), content)).toEqual([match]);
  }
});

it('finds nothing in colours and links', () => {
  expect(found(literalMatcher(query('31m')), '\x1b[31mred 31m')).toEqual(['31m']);
  expect(found(literalMatcher(query('example')), '\x1b]8;;http://example.test/\x1b\\text')).toEqual([]);
});

it('applies a regular expression to each line by itself', () => {
  expect(found(regex('a\\s+b'), 'a\nb a b')).toEqual(['a b']);
  expect(found(regex('[^x]+'), 'ab\ncd')).toEqual(['ab', 'cd']);
  expect(found(regex('a(?!\\n)'), 'a\nb')).toEqual(['a']);
  expect(found(regex('^b.*d$'), 'ab d\nb c d\r\nb d x')).toEqual(['b c d']);
  expect(found(regex('[\t-z]+'), 'a\nb')).toEqual(['a', 'b']);
});

it('matches characters, and not halves of them, and knows where their bytes are', () => {
  expect(found(regex('t.'), 'tö tx t😀')).toEqual(['tö', 'tx', 't😀']);
  expect(found(regex('\\p{Lu}\\w'), 'öÄb')).toEqual(['Äb']);
});

it('finds in a line that is no valid UTF-8 what is ASCII, and in others everything', () => {
  const content = Buffer.concat([Buffer.from('ö1\n'), Buffer.from([0xff]), Buffer.from('a1\nö2 a2')]);
  expect(found(regex('[öa]\\d'), content)).toEqual(['ö1', 'a1', 'ö2', 'a2']);
  expect(found(literalMatcher(query('A1', { case: 'insensitive' })), content)).toEqual(['a1']);
});

it('knows a regular expression that only older rules allow, and none that no rules allow', () => {
  expect(found(regex('a\\-b'), 'a-b')).toEqual(['a-b']);
  expect(() => patternOf(query('(', { mode: 'regex' }))).toThrow(InvalidPatternError);
});

it('is through with what matches nothing', () => {
  expect(found(regex('x*'), 'ab xx c')).toEqual(['xx']);
  expect(found(regex('error|'), 'step 😀 done\nerror here')).toEqual(['error']);
  expect(found(regex('a\\-b|'), '😀a-b')).toEqual(['a-b']);
});

it('keeps the first matches, or the last ones, or one of each line', () => {
  const content = 'a1 a2\na3 b\na4 a5';
  for (const matcher of [literalMatcher(query('a')), regex('a'), regex('a\\b|a')]) {
    const numbers = (wanted: Partial<WantedMatches>) =>
      numbersOf(matcher, Buffer.from(content), wanted).map(([at]) => content[(at as number) + 1]);
    expect(numbers({ max: 2 })).toEqual(['1', '2']);
    expect(numbers({ max: 2, last: true })).toEqual(['4', '5']);
    expect(numbers({ onePerLine: true })).toEqual(['1', '3', '4']);
    expect(numbers({ max: 1, last: true, onePerLine: true })).toEqual(['4']);
  }
});

it('takes a very long line for several', () => {
  const bytes = Buffer.alloc(3 * MAX_LINE_BYTES, 'x');
  bytes.write('ab', MAX_LINE_BYTES + 5);
  const [, end, start, stop] = numbersOf(literalMatcher(query('ab')), bytes)[0] as number[];
  expect([start, end, stop]).toEqual([MAX_LINE_BYTES, MAX_LINE_BYTES + 7, 2 * MAX_LINE_BYTES]);
  expect(found(regex('x+'), bytes).map(({ length }) => length)).toEqual([
    MAX_LINE_BYTES,
    5,
    MAX_LINE_BYTES - 7,
    MAX_LINE_BYTES,
  ]);
});

it('finds the same as who goes through the text line by line', () => {
  const piece = fc.constantFrom(
    'a',
    'b',
    'A',
    'ö',
    '😀',
    ' ',
    '\n',
    '\r\n',
    '\x1b[31m',
    '\x1b[m',
    '\x1b]8;;x\x07',
  );
  const text = fc.array(piece, { maxLength: 60 }).map((pieces) => pieces.join(''));
  const expression = fc.constantFrom(
    'a',
    'ab',
    'ö',
    'b a',
    'a\\s*b',
    '^a',
    'b$',
    '[^a]b',
    '.b',
    'a|ö',
    'a.?$',
  );
  fc.assert(
    fc.property(text, expression, fc.boolean(), (content, source, isSensitive) => {
      const expected = content
        // biome-ignore lint/suspicious/noControlCharactersInRegex: it is what is taken out
        .replaceAll(/\x1b(?:\[[\d;]*m|\]8;;x\x07)/g, '')
        .split('\n')
        .flatMap((line) =>
          [...line.matchAll(new RegExp(source, isSensitive ? 'gmu' : 'gimu'))].map(([match]) => match),
        );
      const matches = found(regex(source, { case: isSensitive ? 'sensitive' : 'insensitive' }), content);
      // biome-ignore lint/suspicious/noControlCharactersInRegex: it is what is taken out
      expect(matches.map((match) => match.replaceAll(/\x1b(?:\[[\d;]*m|\]8;;x\x07)/g, ''))).toEqual(expected);
    }),
    { numRuns: 300 },
  );
});

it.each([
  ['a line', ''],
  ['a control sequence', '\x1b[m'],
])('looks for %s once, however many matches are behind it', (_, before) => {
  const bytes = Buffer.alloc(512 * 1024, 'a');
  bytes.write(before);
  const part = { bytes, start: 0, end: bytes.length };
  const startMs = performance.now();
  const found = literalMatcher(query('a'))(part, { ...ALL, last: true, max: 1 });
  expect(found).toEqual([bytes.length - 1, bytes.length, bytes.length - MAX_LINE_BYTES, bytes.length]);
  // Anew for each match it would be many times as long.
  expect(performance.now() - startMs).toBeLessThan(5000);
});

/** What a terminal shows of some bytes, and where each of them is: told byte by byte. */
function shown(bytes: Buffer): { plain: Buffer; places: number[] } {
  const places: number[] = [];
  const text = bytes.toString('latin1');
  const string = String.raw`[\]PX^_](?:[^\x07\x1b\n]{0,4095}(?:\x07|\x1b\\|(?=\x1b)))?`;
  const sequence = new RegExp(String.raw`\x1b(?:\[[ -?]*[@-~]?|${string}|[ -/]*[0-~]?)`, 'y');
  for (let at = 0; at < text.length; ) {
    sequence.lastIndex = at;
    const taken = sequence.exec(text)?.[0].length ?? 0;
    if (taken === 0) places.push(at++);
    else at += taken;
  }
  return { plain: Buffer.from(places.map((place) => bytes[place] as number)), places };
}

it('finds a text through whatever control sequences, and nothing in them, as who takes them all out', () => {
  const piece = fc.constantFrom(
    ...['a', 'b', 'A', 'B', 'aab', ' ', 'm', '31', ';', '[', ']', '\\', '\x07', 'ö', '\xff', '\n', '\n'],
    ...['\x1b', '\x1b[', '\x1b[31m', '\x1b[m', '\x1b[3', '\x1b(B', '\x1b\\', '\x1bM'],
    ...[
      '\x1b]8;;ab\x07',
      '\x1b]ab\x1b\\',
      '\x1b]ab',
      `\x1b]${'a'.repeat(4094)}`,
      `\x1bP${'ab'.repeat(2050)}\x07`,
    ],
  );
  const content = fc.array(piece, { maxLength: 40 }).map((pieces) => Buffer.from(pieces.join('')));
  const needle = fc.constantFrom('a', 'ab', 'aab', 'aa', 'b\na', 'm', '31', '31m', '[', '];', 'öa', 'ba a');
  const choices = fc.record({ ignoresCase: fc.boolean(), onePerLine: fc.boolean() });
  fc.assert(
    fc.property(content, needle, choices, (bytes, text, { ignoresCase, onePerLine }) => {
      const { plain, places } = shown(bytes);
      const fold = (buffer: Buffer) =>
        ignoresCase ? buffer.toString('latin1').toLowerCase() : buffer.toString('latin1');
      const searched = fold(plain);
      const wanted = fold(Buffer.from(text));
      const expected: [number, number][] = [];
      for (let at = searched.indexOf(wanted); at !== -1; ) {
        const end = at + wanted.length;
        expected.push([places[at] as number, (places[end - 1] as number) + 1]);
        const feed = onePerLine ? searched.indexOf('\n', at) : end;
        at = feed === -1 ? -1 : searched.indexOf(wanted, Math.max(feed, end));
      }
      const isByBytes = !ignoresCase || /^[ -~\n]*$/.test(text);
      fc.pre(isByBytes);
      const matcher = literalMatcher(query(text, { case: ignoresCase ? 'insensitive' : 'sensitive' }));
      const found = numbersOf(matcher, bytes, { onePerLine, max: 100_000 }).map(([at, end]) => [at, end]);
      expect(found).toEqual(expected);
    }),
    { numRuns: 600 },
  );
});
