import { type Colour, PLAIN, type Style, TRUE_COLOUR } from './style.ts';

type MutableStyle = { -readonly [K in keyof Style]: Style[K] };

/**
 * The style after `CSI parameters m` (Select Graphic Rendition): 16 and 256 colours,
 * true colour in both spellings (`38;2;r;g;b`, `38:2::r:g:b`). Concealed and blinking
 * text is shown like any other; what is not known is skipped.
 */
export function selectGraphicRendition(style: Style, parameters: string): Style {
  if (parameters === '' || parameters === '0') return PLAIN;
  const next: MutableStyle = { ...style };
  const codes = parameters.split(';');
  for (let i = 0; i < codes.length; i++) {
    const code = codes[i]!;
    if (code.includes(':')) {
      selectWithColons(next, code.split(':'));
      continue;
    }
    const number = Number(code);
    if (number === 38 || number === 48 || number === 58) {
      const kind = Number(codes[i + 1]);
      setColour(next, number, colourOf(kind, codes.slice(i + 2, i + 5)));
      i += kind === 2 ? 4 : kind === 5 ? 2 : 0;
    } else {
      selectSimple(next, number);
    }
  }
  return next;
}

function selectWithColons(style: MutableStyle, parts: readonly string[]): void {
  const code = Number(parts[0]);
  if (code === 4) {
    style.underline = parts[1] !== '0';
  } else {
    const kind = Number(parts[1]);
    // The colour space, usually empty, stands before three values.
    setColour(style, code, colourOf(kind, kind === 2 && parts.length > 5 ? parts.slice(3) : parts.slice(2)));
  }
}

function colourOf(kind: number, values: readonly string[]): Colour | undefined {
  const [first = 0, second = 0, third = 0] = values.map((value) => Math.min(Number(value), 255));
  if (kind === 5) return first;
  if (kind === 2) return TRUE_COLOUR | (first << 16) | (second << 8) | third;
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
