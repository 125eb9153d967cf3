import { describe, expect, it } from 'vitest';
import { rowsOf } from '../../../src/page/log/rows.ts';
import { PLAIN } from '../../../src/page/log/style.ts';

const encoder = new TextEncoder();

/** What each row shows; chips stand in angle brackets. */
function shown(content: string | Uint8Array): string[] {
  const bytes = typeof content === 'string' ? encoder.encode(content) : content;
  return rowsOf(bytes, 0).rows.map(({ spans }) =>
    spans.map(({ text, chip }) => (chip ? `<${text}>` : text)).join(''),
  );
}

describe('the rows of a log', () => {
  it('stand for all bytes, one after the other, and know how many line feeds are before them', () => {
    const { rows } = rowsOf(encoder.encode('one\r\ntwo\n\nfour'), 1000);
    expect(rows.map(({ start, end, line }) => [start, end, line])).toEqual([
      [1000, 1005, 0],
      [1005, 1009, 1],
      [1009, 1010, 2],
      [1010, 1014, 3],
    ]);
  });

  it('show progress that is drawn over as it is at the end', () => {
    expect(shown('10 %\r20 %\r100 %\r\ndone\n')).toEqual(['100 %', 'done']);
    expect(shown('a\nb\n\x1b[2Aupper\x1b[K\nlower\n')).toEqual(['upper', 'lower']);
  });

  it('make visible what is not text, and what would reorder it', () => {
    expect(shown(Uint8Array.of(0x61, 0xff, 0xc3, 0x62))).toEqual(['a<\\xff\\xc3>b']);
    expect(shown('a\u202eb\u2066c\u200fd\x01')).toEqual(['a<U+202E>b<U+2066>c<U+200F>d<\\x01>']);
    expect(shown('x\0\0\0y')).toEqual(['x<\\0 × 3>y']);
    // Each of them is one column.
    expect(shown(Uint8Array.of(0xff, 0xfe, 0xfd, 0x0d, 0x61, 0x62))).toEqual(['ab<\\xfd>']);
  });
});

describe('what a terminal does that a log must not', () => {
  it('is not to hide what was there: a screen that is cleared begins anew below', () => {
    expect(shown('one\ntwo\n\x1b[2J\x1b[Hthree\nfour\n')).toEqual(['one', 'two', 'three', 'four']);
    expect(shown('one\n\x1b[H\x1b[2J\x1b[3Jtwo\n\x1bcthree\n')).toEqual(['one', 'two', 'three']);
  });

  it('is not to go far: the cursor moves by 1,000 columns and 200 rows at most', () => {
    const [row] = rowsOf(encoder.encode('\x1b[999999999Cx'), 0).rows;
    expect(row!.spans.map(({ text }) => text).join('')).toBe(`${' '.repeat(999)}x`);
    const lines = shown(`${'line\n'.repeat(300)}\x1b[9999Atop\r\x1b[9999Bbottom`);
    expect([lines[101], lines[300]]).toEqual(['tope', 'bottom']);
    expect(lines).toHaveLength(301);
  });

  it('is not to reach beyond the line: a sequence without end hides nothing that follows', () => {
    for (const begun of ['\x1b]0;title', '\x1bPdata', '\x1b[31', '\x1b', '\x1b]8;;https://example.com/']) {
      expect(shown(`a${begun}\nb\n`)).toEqual(['a', 'b']);
    }
  });

  it('is not to obey: titles, clipboards and device controls are dropped', () => {
    expect(shown('a\x1b]0;t\x07b\x1b]52;c;AAAA\x1b\\c\x1bP+q\x1b\\d\x1b_x\x1b\\e\x1b^y\x1b\\f')).toEqual([
      'abcdef',
    ]);
  });
});

describe('links', () => {
  it('are those of OSC 8 to http and https, and no other ones', () => {
    const linkOf = (address: string) =>
      rowsOf(encoder.encode(`\x1b]8;id=1;${address}\x07text\x1b]8;;\x07`), 0).rows[0]!.spans[0];
    expect(linkOf('https://example.com/a?b=c;d')).toMatchObject({
      link: 'https://example.com/a?b=c;d',
      text: 'text',
    });
    expect(linkOf('HTTP://example.com')).toMatchObject({ link: 'HTTP://example.com' });
    for (const address of [
      'javascript:alert(1)',
      'data:text/html,x',
      'file:///etc/passwd',
      '//example.com',
      ' https://example.com',
      'https://example.com/\u202egpj.exe',
      `https://example.com/${'x'.repeat(3000)}`,
    ]) {
      expect(linkOf(address)).toMatchObject({ link: undefined, text: 'text' });
    }
  });
});

describe('full-screen programs', () => {
  it('are named where they ran; what is before and behind them stays', () => {
    const screen = rowsOf(
      encoder.encode('$ vim\r\n\x1b[?1049h\x1b[5;5H~\n~\n\x1b[?1049l\x1b[31m$ exit\n'),
      0,
    );
    expect(shown('$ vim\r\n\x1b[?1049h\x1b[5;5H~\n~\n\x1b[?1049l$ exit\n')).toEqual([
      '$ vim',
      '<full-screen program>',
      '$ exit',
    ]);
    expect(screen.fullScreen).toBe(true);
    expect(screen.rows.at(-1)).toMatchObject({ line: 3 });
  });

  it('that began before the window are known by the state', () => {
    const { end } = rowsOf(encoder.encode('\x1b[?1049hx'), 0);
    expect(end.alternate).toBe(true);
    const { rows, fullScreen } = rowsOf(encoder.encode('\x1b[3;1Hinside\x1b[?1049lafter'), 9, end);
    expect(rows.map(({ spans }) => spans[0]!.text)).toEqual(['full-screen program', 'after']);
    expect(fullScreen).toBe(true);
  });

  it('are told, too, where they address rows; a bar at the bottom of the screen is not shown', () => {
    const apt = 'one\n\x1b7\x1b[24;0f\x1b[42mProgress: [ 10%]\x1b[49m\x1b8two\n';
    expect(shown(apt)).toEqual(['one', 'two']);
    expect(rowsOf(encoder.encode(apt), 0).fullScreen).toBe(true);
  });
});

describe('colours that are open', () => {
  it('go on in the next bytes, and links, too', () => {
    const { end } = rowsOf(encoder.encode('\x1b[1;38;5;208m\x1b]8;;https://example.com/\x07a\n'), 0);
    const [row] = rowsOf(encoder.encode('b\x1b[0mc'), 100, end).rows;
    expect(row!.spans).toMatchObject([
      { text: 'b', style: { bold: true, fg: 208 }, link: 'https://example.com/' },
      { text: 'c', style: { bold: false, fg: undefined }, link: 'https://example.com/' },
    ]);
  });
});

describe('text that looks the same', () => {
  it('is one span, whatever sequences made it look so', () => {
    const content = 'a\x1b[31;1mb\x1b[32m\x1b[1;31mc\x1b[m\x1b[38:5:1;1md\x1b[39;22me\x1b[mf';
    const spans = rowsOf(encoder.encode(content), 0).rows[0]!.spans;
    expect(spans.map(({ text }) => text)).toEqual(['a', 'bcd', 'ef']);
    expect(rowsOf(encoder.encode('\x1b[31mx\x1b[39my'), 0).rows[0]!.spans[1]!.style).toBe(PLAIN);
  });
});

describe('characters', () => {
  it('that are two columns wide are drawn over as a whole', () => {
    expect(shown('漢字\ra')).toEqual(['a 字']);
    expect(shown('👩‍👩‍👧👍🏽🇩🇪x\x1b[7Gy')).toEqual(['👩‍👩‍👧👍🏽🇩🇪y']);
  });

  it('keep their marks, also across colours', () => {
    const spans = rowsOf(encoder.encode('e\x1b[31m\u0301x'), 0).rows[0]!.spans;
    expect(spans.map(({ text }) => text)).toEqual(['e\u0301', 'x']);
    expect(shown('e\x1b[31m\u0301x\b\bo')).toEqual(['ox']);
  });
});

describe('marks', () => {
  it('are on their character as far as one can have so many; of the others it is said how many there are', () => {
    const marks = '\u0301'.repeat(30);
    expect(shown(`e${marks}x`)).toEqual([`e${marks}x`]);
    expect(shown(`e${marks.repeat(100)}x${marks}\u0301y`)).toEqual([
      `e${marks}<+2,970 marks>x${marks}<+1 marks>y`,
    ]);
    expect(shown(`e${`\x1b[31m${marks}`.repeat(100)}x`)).toEqual([`e${marks}<+2,970 marks>x`]);
    // Where there is no character, too.
    expect(shown(`${marks}\u0301x\n`)).toEqual(['<+1 marks>x']);
    // Of the other planes each is a pair of units.
    const [pair, room] = ['\u{1d165}', '\u{1d165}'.repeat(29)];
    expect(shown(`e\u0301${pair.repeat(40)}x`)).toEqual([`e\u0301${room}<+11 marks>x`]);
    expect(shown(`e\u0301\x1b[31m${pair.repeat(40)}x`)).toEqual([`e\u0301${room}<+11 marks>x`]);
  });
});

describe('what a few bytes could ask for', () => {
  const BYTES = 64 * 1024;

  it('is no line of millions of blanks', () => {
    const { rows } = rowsOf(encoder.encode(`ab\r${'\x1b[1000@'.repeat(BYTES / 8)}`), 0);
    expect(rows[0]!.spans.reduce((sum, { text }) => sum + text.length, 0)).toBe(1000);
    expect(shown(`ab\r\x1b[2@x\n`)).toEqual(['x ab']);
  });

  it('is no million rows', () => {
    const { rows } = rowsOf(encoder.encode('\x1b[Hx\n\x1b[200H.'.repeat(BYTES / 12)), 0);
    expect(rows.length).toBeLessThan(30_000);
    expect(rows.at(-1)!.end).toBe(12 * Math.floor(BYTES / 12));
  });
});
