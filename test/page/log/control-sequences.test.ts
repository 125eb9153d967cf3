import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { rowsOf } from '../../../src/page/log/rows.ts';
import { SCREEN_ROWS } from '../../../src/page/log/terminal.ts';
import { OracleTerminal, shownCells } from '../../support/terminal/oracle.ts';

const RUNS = process.env.HTTPFSTREAM_SOAK === '1' ? 40_000 : 300;

/** Nothing is wrapped: no run of the pieces below goes further. */
const COLUMNS = 500;

const count = fc.option(fc.integer({ min: 0, max: 12 }), { nil: '' });
const text = fc.array(
  fc.oneof(
    { weight: 8, arbitrary: fc.constantFrom(...'abcXYZ0189 .-#|') },
    {
      weight: 2,
      arbitrary: fc.constantFrom('é', 'é', 'ж', '█', '▏', '⠋', '→', '漢', '字', 'か', '한', '！'),
    },
  ),
  { minLength: 1, maxLength: 10 },
);
const colour = fc.oneof(
  fc.constantFrom(30, 31, 37, 39, 40, 44, 47, 49, 90, 97, 100, 107),
  fc.nat(255).map((index) => `38;5;${index}`),
  fc.nat(255).map((index) => `48;5;${index}`),
  fc.tuple(fc.constantFrom(38, 48), fc.nat(255), fc.nat(255)).map(([code, a, b]) => `${code};2;${a};${b};7`),
  fc.tuple(fc.constantFrom(38, 48), fc.nat(255), fc.nat(255)).map(([code, a, b]) => `${code}:2::${a}:${b}:7`),
  fc.nat(255).map((index) => `38:5:${index}`),
);
const look = fc.oneof(fc.constantFrom('', 0, 1, 2, 3, 4, 7, 9, 21, 22, 23, 24, 27, 29, '4:3', '4:0'), colour);

const piece = fc.oneof(
  { weight: 8, arbitrary: text.map((characters) => characters.join('')) },
  { weight: 3, arbitrary: fc.constantFrom('\n', '\r\n', '\r', '\b', '\t', '\x07') },
  {
    weight: 6,
    arbitrary: fc
      .tuple(count, fc.constantFrom(...'ABCDEFGXP@ae`'))
      .map(([times, final]) => `\x1b[${times}${final}`),
  },
  { weight: 2, arbitrary: fc.constantFrom('', 0, 1, 2).map((mode) => `\x1b[${mode}K`) },
  { weight: 1, arbitrary: fc.constantFrom('\x1b[J', '\x1b[0J') },
  { weight: 4, arbitrary: fc.array(look, { maxLength: 3 }).map((codes) => `\x1b[${codes.join(';')}m`) },
  { weight: 2, arbitrary: fc.constantFrom('\x1b7', '\x1b8', '\x1b[s', '\x1b[u') },
  {
    weight: 2,
    // Not the end of a link: at that the oracle underlines again what `ESC 8` had made plain.
    arbitrary: fc.constantFrom(
      '\x1b]0;title\x07',
      '\x1bPq#0\x1b\\',
      '\x1b_app\x1b\\',
      '\x1b(B',
      '\x1b[?25l',
      '\x1b[?2004h',
      '\x1b[>4;2m',
      '\x1bE',
    ),
  },
);

/** Before what is tested: it begins in the lowest row of a terminal. */
const ROWS_BEFORE = '\n'.repeat(SCREEN_ROWS - 1);

describe('control sequences', () => {
  it('do what they do in a terminal, whatever they are and wherever they stand', async () => {
    const oracle = new OracleTerminal(SCREEN_ROWS, COLUMNS);
    const encoder = new TextEncoder();
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { maxLength: 30 }), async (pieces) => {
        const content = pieces.join('');
        const { rows } = rowsOf(encoder.encode(ROWS_BEFORE + content), 0);
        expect(shownCells(rows)).toEqual(await oracle.show(encoder.encode(content), SCREEN_ROWS));
      }),
      { numRuns: RUNS },
    );
  });
});
