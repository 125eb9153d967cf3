/** A colour of a terminal: 0 to 255 of its palette, or `TRUE_COLOUR | 0xRRGGBB`. */
export type Colour = number;

/** Marks a `Colour` that is not of the palette. */
export const TRUE_COLOUR = 0x1000000;

/** How text looks. Colours that are undefined are the defaults of whoever shows it. */
export interface Style {
  readonly fg: Colour | undefined;
  readonly bg: Colour | undefined;
  readonly bold: boolean;
  readonly dim: boolean;
  readonly italic: boolean;
  readonly underline: boolean;
  readonly inverse: boolean;
  readonly strike: boolean;
}

/** The style of what no sequence has coloured. */
export const PLAIN: Style = Object.freeze({
  fg: undefined,
  bg: undefined,
  bold: false,
  dim: false,
  italic: false,
  underline: false,
  inverse: false,
  strike: false,
});

/** Tells whether both look the same. */
export function sameStyle(a: Style, b: Style): boolean {
  return (
    a === b ||
    (a.fg === b.fg &&
      a.bg === b.bg &&
      a.bold === b.bold &&
      a.dim === b.dim &&
      a.italic === b.italic &&
      a.underline === b.underline &&
      a.inverse === b.inverse &&
      a.strike === b.strike)
  );
}
