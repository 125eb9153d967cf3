import { type Colour, PLAIN, type Style, sameStyle, TRUE_COLOUR } from './style.ts';

const DIGIT_ZERO = 0x30;

/** Longer parameters are not remembered: those of true colour, of which there are too many. They would be kept together with what they are a part of. */
const MAX_REMEMBERED_LENGTH = 12;

/** So many steps from one style to the next are remembered, in all. */
const MAX_REMEMBERED = 10_000;

type MutableStyle = { -readonly [K in keyof Style]: Style[K] };

/**
 * The style after `CSI parameters m` (Select Graphic Rendition): 16 and 256 colours,
 * true colour in both spellings (`38;2;r;g;b`, `38:2::r:g:b`). Concealed and blinking
 * text is shown like any other; what is not known is skipped.
 *
 * @param parameters digits, `;` and `:` only
 */
export function selectGraphicRendition(style: Style, parameters: string): Style {
  if (parameters === '' || parameters === '0') return PLAIN;
  if (parameters.length > MAX_REMEMBERED_LENGTH) return changed(style, parameters);
  return steps.get(style)?.get(parameters) ?? remembered(style, parameters);
}

/** What follows each style by which parameters: most programs use few. */
const steps = new Map<Style, Map<string, Style>>();

/** One object for all styles that look the same, by their look: else what follows them would not be found again. */
const styles = new Map<string, Style>();

let stepCount = 0;

function remembered(style: Style, parameters: string): Style {
  // All at once: each step leads to the next ones.
  if (stepCount === MAX_REMEMBERED) {
    steps.clear();
    styles.clear();
    stepCount = 0;
  }
  const next = unique(changed(style, parameters));
  const following = steps.get(style) ?? new Map<string, Style>();
  steps.set(style, following.set(parameters, next));
  stepCount++;
  return next;
}

function unique(style: Style): Style {
  if (sameStyle(style, PLAIN)) return PLAIN;
  const look = Object.values(style).join();
  const first = styles.get(look) ?? style;
  styles.set(look, first);
  return first;
}

function changed(style: Style, parameters: string): Style {
  const next: MutableStyle = { ...style };
  if (parameters.includes(':')) selectMixed(next, parameters.split(';'));
  else selectCodes(next, numbersIn(parameters));
  return next;
}

/** Some parts are whole by themselves, `38:5:1`; others go together, `38`, `5`, `1`. */
function selectMixed(style: MutableStyle, parts: readonly string[]): void {
  let codes: number[] = [];
  for (const part of parts) {
    const numbers = numbersIn(part);
    if (numbers.length === 1) {
      codes.push(...numbers);
    } else {
      selectCodes(style, codes);
      selectWithColons(style, numbers);
      codes = [];
    }
  }
  selectCodes(style, codes);
}

/** The numbers that a `;` or `:` stands between; what is left out is 0. */
function numbersIn(parameters: string): number[] {
  const numbers: number[] = [];
  let number = 0;
  for (let i = 0; i < parameters.length; i++) {
    const digit = parameters.charCodeAt(i) - DIGIT_ZERO;
    if (digit >= 0 && digit <= 9) {
      number = number * 10 + digit;
    } else {
      numbers.push(number);
      number = 0;
    }
  }
  numbers.push(number);
  return numbers;
}

function selectCodes(style: MutableStyle, codes: readonly number[]): void {
  for (let i = 0; i < codes.length; i++) {
    const code = codes[i]!;
    if (code === 38 || code === 48 || code === 58) {
      const kind = codes[i + 1] ?? 0;
      setColour(style, code, colourOf(kind, codes, i + 2));
      i += kind === 2 ? 4 : kind === 5 ? 2 : 0;
    } else {
      selectSimple(style, code);
    }
  }
}

function selectWithColons(style: MutableStyle, [code = 0, kind = 0, ...values]: readonly number[]): void {
  if (code === 4) style.underline = kind !== 0;
  // The colour space, usually empty, stands before three values.
  else setColour(style, code, colourOf(kind, values, kind === 2 && values.length > 3 ? 1 : 0));
}

function colourOf(kind: number, values: readonly number[], index: number): Colour | undefined {
  const value = (offset: number) => Math.min(values[index + offset] ?? 0, 255);
  if (kind === 5) return value(0);
  if (kind === 2) return TRUE_COLOUR | (value(0) << 16) | (value(1) << 8) | value(2);
  return undefined;
}

function setColour(style: MutableStyle, code: number, colour: Colour | undefined): void {
  if (colour === undefined) return;
  if (code === 38) style.fg = colour;
  if (code === 48) style.bg = colour;
}

function selectSimple(style: MutableStyle, code: number): void {
  if (code >= 30 && code <= 37) style.fg = code - 30;
  else if (code >= 40 && code <= 47) style.bg = code - 40;
  else if (code >= 90 && code <= 97) style.fg = code - 90 + 8;
  else if (code >= 100 && code <= 107) style.bg = code - 100 + 8;
  else {
    switch (code) {
      case 0:
        Object.assign(style, PLAIN);
        break;
      case 1:
        style.bold = true;
        break;
      case 2:
        style.dim = true;
        break;
      case 3:
        style.italic = true;
        break;
      case 4:
      case 21:
        style.underline = true;
        break;
      case 7:
        style.inverse = true;
        break;
      case 9:
        style.strike = true;
        break;
      case 22:
        style.bold = false;
        style.dim = false;
        break;
      case 23:
        style.italic = false;
        break;
      case 24:
        style.underline = false;
        break;
      case 27:
        style.inverse = false;
        break;
      case 29:
        style.strike = false;
        break;
      case 39:
        style.fg = undefined;
        break;
      case 49:
        style.bg = undefined;
        break;
    }
  }
}
