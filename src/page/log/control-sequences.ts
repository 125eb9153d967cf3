const BEL = 0x07;
const LF = 0x0a;
const CAN = 0x18;
const SUB = 0x1a;
const ESC = 0x1b;
const BACKSLASH = 0x5c;
const DIGIT_ZERO = 0x30;
/** Behind the digits and the colon. */
const SEMICOLON = 0x3b;

/**
 * A sequence that began with ESC.
 * `csi`: `parameters` has digits, `;` and `:` only. `private`: it has others, `?` usually. `escape`: a letter,
 * after what is in `parameters`, usually nothing. `osc`: `parameters` is its text. `ignored`: DCS and other strings,
 * and what was broken off.
 */
export interface ControlSequence {
  readonly kind: 'csi' | 'private' | 'escape' | 'osc' | 'ignored';
  /** The letter that ends it; empty for what has none. */
  readonly final: string;
  readonly parameters: string;
  /** Index of the first byte after it. */
  readonly next: number;
}

/**
 * Reads the sequence whose ESC is at `index`. None reaches beyond its line: whatever is
 * broken off by a line feed, another control character, or the end is ignored up to
 * there, so that an unfinished one hides nothing that follows.
 *
 * @param latin1 the same bytes, one character each (only ASCII has to be right)
 */
export function readControlSequence(
  bytes: Uint8Array,
  latin1: string,
  index: number,
  end: number,
): ControlSequence {
  const introducer = index + 1 < end ? bytes[index + 1]! : 0;
  switch (introducer) {
    case 0x5b: // [
      return readCsi(bytes, latin1, index + 2, end);
    case 0x5d: // ]
      return readString(bytes, latin1, index + 2, end, 'osc');
    case 0x50: // P, X, ^ and _: device control and other strings
    case 0x58:
    case 0x5e:
    case 0x5f:
      return readString(bytes, latin1, index + 2, end, 'ignored');
    default:
      return readEscape(bytes, latin1, index + 1, end);
  }
}

function readCsi(bytes: Uint8Array, latin1: string, start: number, end: number): ControlSequence {
  let i = start;
  let kind: 'csi' | 'private' = 'csi';
  for (; i < end && bytes[i]! >= 0x20 && bytes[i]! < 0x40; i++) {
    if (bytes[i]! < DIGIT_ZERO || bytes[i]! > SEMICOLON) kind = 'private';
  }
  if (i === end || bytes[i]! < 0x20 || bytes[i]! > 0x7e) return ignoredUntil(i);
  return { kind, final: latin1[i]!, parameters: latin1.substring(start, i), next: i + 1 };
}

function readEscape(bytes: Uint8Array, latin1: string, start: number, end: number): ControlSequence {
  let i = start;
  while (i < end && bytes[i]! >= 0x20 && bytes[i]! < 0x30) i++;
  if (i === end || bytes[i]! < 0x30 || bytes[i]! > 0x7e) return ignoredUntil(i);
  return { kind: 'escape', final: latin1[i]!, parameters: latin1.substring(start, i), next: i + 1 };
}

function readString(
  bytes: Uint8Array,
  latin1: string,
  start: number,
  end: number,
  kind: 'osc' | 'ignored',
): ControlSequence {
  for (let i = start; i < end; i++) {
    const byte = bytes[i]!;
    if (byte === LF || byte === CAN || byte === SUB) return ignoredUntil(i);
    const terminated = byte === ESC && i + 1 < end && bytes[i + 1] === BACKSLASH;
    if (terminated || byte === BEL) {
      return { kind, final: '', parameters: latin1.substring(start, i), next: terminated ? i + 2 : i + 1 };
    }
    if (byte === ESC) return ignoredUntil(i);
  }
  return ignoredUntil(end);
}

function ignoredUntil(next: number): ControlSequence {
  return { kind: 'ignored', final: '', parameters: '', next };
}
