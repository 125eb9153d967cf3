/** How many bytes a row shows; where there is no room for so many, half of them. */
export const BYTES_PER_ROW = 16;

/** After so many bytes there is a wider gap. */
const BYTES_PER_GROUP = 8;

/** Digits of an offset that is not longer. */
const MIN_OFFSET_DIGITS = 8;

/** One row of a hex view, as `hexdump -C` lays it out. */
export interface HexRow {
  /** Where its first byte is in the resource. */
  start: number;
  /** The offset in hexadecimal digits. */
  offset: string;
  /** Two digits for each byte, with two spaces after the eighth; as long as that of a full row. */
  hex: string;
  /** The bytes that are printable ASCII, and a dot for each of the others. */
  text: string;
}

/**
 * Lays out one row.
 *
 * @param bytes those of the row; at the end fewer than a row has
 * @param start where the first one is in the resource
 * @param size of the resource, which decides how long offsets are
 * @param bytesPerRow how many bytes a row has
 */
export function hexRow(bytes: Uint8Array, start: number, size: number, bytesPerRow: number): HexRow {
  let hex = '';
  let text = '';
  for (const [index, byte] of bytes.entries()) {
    hex += `${index === 0 ? '' : index === BYTES_PER_GROUP ? '  ' : ' '}${byte.toString(16).padStart(2, '0')}`;
    text += byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.';
  }
  return { start, offset: formatOffset(start, size), hex: hex.padEnd(3 * bytesPerRow), text };
}

/** Formats an offset in hexadecimal digits, as many as all offsets of a resource need, eight at least. */
export function formatOffset(offset: number, size: number): string {
  const digits = Math.max(MIN_OFFSET_DIGITS, Math.max(0, size - 1).toString(16).length);
  return offset.toString(16).padStart(digits, '0');
}

/** Where in the digits of a row a byte begins. */
export function hexColumn(byte: number): number {
  return byte * 3 + (byte >= BYTES_PER_GROUP ? 1 : 0);
}

/**
 * Reads an offset as somebody types it: decimal, `0x` and hexadecimal digits, or with a minus from the
 * end. Commas, underscores and spaces between digits are passed over. Undefined for what is none, or is
 * not within `size` bytes.
 */
export function parseOffset(text: string, size: number): number | undefined {
  const plain = text.replace(/[\s,_]/g, '').toLowerCase();
  const match = /^(?<minus>-?)(?:0x(?<hex>[0-9a-f]+)|(?<decimal>[0-9]+))$/.exec(plain);
  if (match === null) return undefined;
  const { minus, hex, decimal } = match.groups as { minus: string; hex?: string; decimal?: string };
  const value = hex === undefined ? Number.parseInt(decimal!, 10) : Number.parseInt(hex, 16);
  const offset = minus === '' ? value : size - value;
  return offset >= 0 && offset < size ? offset : undefined;
}
