import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { coloursOf } from '../../../src/page/log/palette.ts';
import { PLAIN, type Style, TRUE_COLOUR } from '../../../src/page/log/style.ts';

/** Backgrounds of the page, and of a row that is linked to: light, dark. */
const SURFACES = [
  ['#ffffff', '#ddf4ff'],
  ['#0d1117', '#12345a'],
];

function themesOf(colour: string): string[] {
  return [...colour.matchAll(/#[0-9a-f]{6}/g)].map(([digits]) => digits);
}

function luminance(digits: string): number {
  const [red, green, blue] = [1, 3, 5].map((start) => {
    const value = Number.parseInt(digits.slice(start, start + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(a: string, b: string): number {
  const luminances = [luminance(a), luminance(b)];
  return (Math.max(...luminances) + 0.05) / (Math.min(...luminances) + 0.05);
}

/** Lowest contrast of a style to what is behind it, in both themes. */
function lowestContrast(style: Style): number {
  const { color, background } = coloursOf(style);
  const behind = background === undefined ? SURFACES : themesOf(background).map((digits) => [digits]);
  return Math.min(
    ...themesOf(color!).flatMap((text, theme) => behind[theme]!.map((surface) => contrast(text, surface))),
  );
}

const colour = fc.option(
  fc.oneof(
    fc.nat(255),
    fc.nat(0xffffff).map((value) => TRUE_COLOUR | value),
    fc.nat(255).map((grey) => TRUE_COLOUR | (grey * 0x10101)),
  ),
  { nil: undefined },
);

describe('the colours of a style', () => {
  it('can be read on what is behind them, light and dark, whichever they are', () => {
    const styles = fc
      .record({ fg: colour, bg: colour, dim: fc.boolean(), inverse: fc.boolean() })
      .filter(({ fg, bg, dim, inverse }) => fg !== undefined || bg !== undefined || dim || inverse);
    fc.assert(
      fc.property(styles, (look) => {
        expect(lowestContrast({ ...PLAIN, ...look })).toBeGreaterThanOrEqual(4.6);
      }),
    );
  });

  it('of each of the palette can be read, as text and on each as a background', () => {
    const contrasts = Array.from({ length: 256 }, (_, index) =>
      Math.min(lowestContrast({ ...PLAIN, fg: index }), lowestContrast({ ...PLAIN, bg: index })),
    );
    expect(Math.min(...contrasts)).toBeGreaterThanOrEqual(4.6);
  });

  it('are those of the page where nothing says otherwise', () => {
    expect(coloursOf({ ...PLAIN, bold: true })).toEqual({ color: undefined, background: undefined });
  });

  it('are the ones that were asked for where those can be read', () => {
    expect(coloursOf({ ...PLAIN, fg: 1 }).color).toBe('light-dark(#cf222e, #ff7b72)');
    expect(coloursOf({ ...PLAIN, bg: TRUE_COLOUR | 0x003366 })).toMatchObject({
      background: 'light-dark(#003366, #003366)',
    });
  });

  it('change places with inverse, default ones too', () => {
    expect(coloursOf({ ...PLAIN, inverse: true })).toEqual({
      color: 'light-dark(#ffffff, #0d1117)',
      background: 'light-dark(#1f2328, #e6edf3)',
    });
  });
});
