import { type Colour, type Style, TRUE_COLOUR } from './style.ts';

/** Lowest contrast, as WCAG 2 counts it, of text to what is behind it. */
export const MINIMUM_CONTRAST = 4.6;

/** CSS colours of a text: undefined where it is like what is around it. */
export interface TextColours {
  readonly color: string | undefined;
  readonly background: string | undefined;
}

/** Red, green and blue, 0 to 255. */
type Rgb = readonly [red: number, green: number, blue: number];

interface Theme {
  readonly text: Rgb;
  /** Of text that is dim. */
  readonly muted: Rgb;
  /** What can be behind a row: the page first, then a row that is linked to. */
  readonly surfaces: readonly Rgb[];
  /** The 16 colours that have names. */
  readonly named: readonly Rgb[];
}

const BLACK: Rgb = [0, 0, 0];
const WHITE: Rgb = [255, 255, 255];

const LIGHT: Theme = {
  text: rgb('1f2328'),
  muted: rgb('59636e'),
  surfaces: colours('ffffff ddf4ff'),
  named: colours(
    '24292f cf222e 116329 7d4e00 0969da 8250df 136061 59636e 57606a a40e26 1a7f37 633c01 0550ae 6639ba 0f5257 32383f',
  ),
};

const DARK: Theme = {
  text: rgb('e6edf3'),
  muted: rgb('9198a1'),
  surfaces: colours('0d1117 12345a'),
  named: colours(
    '8b949e ff7b72 3fb950 d29922 58a6ff bc8cff 39c5cf b1bac4 8b949e ffa198 56d364 e3b341 79c0ff d2a8ff 56d4dd ffffff',
  ),
};

const CUBE_LEVELS = [0, 95, 135, 175, 215, 255];

/** How many styles are remembered: a picture in true colour has thousands. */
const MAX_REMEMBERED = 4096;

const remembered = new Map<string, TextColours>();

/**
 * The CSS colours of a style, for light and dark at once (`light-dark()`). Each is moved towards black or
 * white until it can be read on what is behind it: its own background, or the page's.
 */
export function coloursOf(style: Style): TextColours {
  const { fg, bg, dim, inverse } = style;
  if (fg === undefined && bg === undefined && !dim && !inverse) return AS_AROUND;
  const key = `${fg},${bg},${dim},${inverse}`;
  let known = remembered.get(key);
  if (known === undefined) {
    known = lightDark(themed(style, LIGHT), themed(style, DARK));
    if (remembered.size === MAX_REMEMBERED) remembered.clear();
    remembered.set(key, known);
  }
  return known;
}

const AS_AROUND: TextColours = Object.freeze({ color: undefined, background: undefined });

interface Themed {
  readonly text: Rgb;
  readonly background: Rgb | undefined;
}

function themed({ fg, bg, dim, inverse }: Style, theme: Theme): Themed {
  const own = fg === undefined ? theme.text : colourIn(theme, fg);
  const behind = bg === undefined ? undefined : colourIn(theme, bg);
  let text = inverse ? (behind ?? theme.surfaces[0]!) : own;
  const background = inverse ? own : behind;
  if (background === undefined) {
    if (dim) text = fg === undefined ? theme.muted : mixed(text, theme.surfaces[0]!, 0.35);
    return { text: readable(text, theme.surfaces), background };
  }
  const readableOn = allowsContrast(background);
  return { text: readable(dim ? mixed(text, readableOn, 0.35) : text, [readableOn]), background: readableOn };
}

function lightDark(light: Themed, dark: Themed): TextColours {
  return {
    color: `light-dark(${hex(light.text)}, ${hex(dark.text)})`,
    background:
      light.background && dark.background && `light-dark(${hex(light.background)}, ${hex(dark.background)})`,
  };
}

function colourIn(theme: Theme, colour: Colour): Rgb {
  if (colour >= TRUE_COLOUR) return [(colour >> 16) & 0xff, (colour >> 8) & 0xff, colour & 0xff];
  if (colour < 16) return theme.named[colour]!;
  if (colour >= 232) {
    const grey = 8 + 10 * (colour - 232);
    return [grey, grey, grey];
  }
  const index = colour - 16;
  return [
    CUBE_LEVELS[Math.floor(index / 36)]!,
    CUBE_LEVELS[Math.floor(index / 6) % 6]!,
    CUBE_LEVELS[index % 6]!,
  ];
}

/** The colour, moved as little as is needed to be read on all that may be behind it. */
function readable(colour: Rgb, behind: readonly Rgb[]): Rgb {
  const lowest = (candidate: Rgb) => Math.min(...behind.map((surface) => contrast(candidate, surface)));
  if (lowest(colour) >= MINIMUM_CONTRAST) return colour;
  const target = lowest(WHITE) > lowest(BLACK) ? WHITE : BLACK;
  let tooLittle = 0;
  let enough = 1;
  for (let step = 0; step < 8; step++) {
    const middle = (tooLittle + enough) / 2;
    if (lowest(mixed(colour, target, middle)) >= MINIMUM_CONTRAST) enough = middle;
    else tooLittle = middle;
  }
  return mixed(colour, target, enough);
}

/** A background on which black or white can be read; a few greys are between the two. */
function allowsContrast(background: Rgb): Rgb {
  const isBetween =
    contrast(background, WHITE) < MINIMUM_CONTRAST && contrast(background, BLACK) < MINIMUM_CONTRAST;
  return isBetween ? mixed(background, BLACK, 0.05) : background;
}

function contrast(a: Rgb, b: Rgb): number {
  const [darker, lighter] = [luminance(a), luminance(b)].sort((x, y) => x - y) as [number, number];
  return (lighter + 0.05) / (darker + 0.05);
}

function luminance([red, green, blue]: Rgb): number {
  return 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
}

function linear(channel: number): number {
  const value = channel / 255;
  return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
}

function mixed(from: Rgb, to: Rgb, share: number): Rgb {
  const channel = (index: 0 | 1 | 2) => Math.round(from[index] + (to[index] - from[index]) * share);
  return [channel(0), channel(1), channel(2)];
}

function rgb(digits: string): Rgb {
  const value = Number.parseInt(digits, 16);
  return [value >> 16, (value >> 8) & 0xff, value & 0xff];
}

function colours(digits: string): Rgb[] {
  return digits.split(' ').map(rgb);
}

function hex([red, green, blue]: Rgb): string {
  return `#${((1 << 24) | (red << 16) | (green << 8) | blue).toString(16).slice(1)}`;
}
