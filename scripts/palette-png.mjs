// PNG with at most 256 colours: a picture of text takes half the bytes so, and looks the same.

import { crc32, deflateSync } from 'node:zlib';

const SIGNATURE = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1');
const MAX_COLOURS = 256;

const PALETTE_TYPE = 3;

/** Encodes rows of RGBA pixels, of which none is transparent. */
export function palettePng({ width, height, pixels }) {
  const { colours, indexOf } = paletteOf(pixels);
  const rows = Buffer.alloc(height * (width + 1));
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) rows[y * (width + 1) + 1 + x] = indexOf(colourAt(pixels, y * width + x));
  }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, PALETTE_TYPE], 8);
  const palette = Buffer.from(colours.flatMap((colour) => [colour >> 16, (colour >> 8) & 255, colour & 255]));
  return Buffer.concat([
    SIGNATURE,
    chunk('IHDR', header),
    chunk('PLTE', palette),
    chunk('IDAT', deflateSync(rows, { level: 9 })),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

/** Colours that have these bits in common look alike: of each such group the palette has one, so that rare ones are in it, too. */
const ALIKE = 0xf0f0f0;

/** The colours that are there most often, then one for each that looks otherwise; and which of them is nearest to another. */
function paletteOf(pixels) {
  const counts = new Map();
  for (let index = 0; index < pixels.length / 4; index++) {
    const colour = colourAt(pixels, index);
    counts.set(colour, (counts.get(colour) ?? 0) + 1);
  }
  const byCount = [...counts].sort(([, a], [, b]) => b - a).map(([colour]) => colour);
  const groups = new Map(byCount.toReversed().map((colour) => [colour & ALIKE, colour]));
  const chosen = new Set([...byCount.slice(0, MAX_COLOURS / 4), ...[...groups.values()].reverse()]);
  const colours = [...chosen].slice(0, MAX_COLOURS);
  const nearest = new Map(colours.map((colour, index) => [colour, index]));
  const indexOf = (colour) => {
    if (!nearest.has(colour)) nearest.set(colour, nearestOf(colours, colour));
    return nearest.get(colour);
  };
  return { colours, indexOf };
}

function nearestOf(colours, colour) {
  const distances = colours.map((other) => {
    return [16, 8, 0].reduce(
      (sum, shift) => sum + (((colour >> shift) & 255) - ((other >> shift) & 255)) ** 2,
      0,
    );
  });
  return distances.indexOf(Math.min(...distances));
}

function colourAt(pixels, index) {
  return (pixels[index * 4] << 16) | (pixels[index * 4 + 1] << 8) | pixels[index * 4 + 2];
}

function chunk(type, data) {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const frame = Buffer.alloc(8);
  frame.writeUInt32BE(data.length, 0);
  frame.writeUInt32BE(crc32(body), 4);
  return Buffer.concat([frame.subarray(0, 4), body, frame.subarray(4)]);
}
