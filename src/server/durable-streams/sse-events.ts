import type { OpenFile } from '../../core/open-file.ts';
import type { Encoder } from '../../core/readers/chunk.ts';
import { type Cutting, openCharacterBytes, openLineBytes } from '../../core/readers/cutting.ts';
import type { OffsetNames } from '../../core/streams/stream-offset.ts';
import { isJsonType, mediaTypeOf } from '../../core/streams/stream-type.ts';
import { itemsOfLines } from '../json/json-values.ts';

/** Most bytes in one event, single JSON values aside; and in one piece of those. */
const MAX_PIECE_BYTES = 64 * 1024;

/** How long a browser waits before it comes back, in milliseconds. */
const RETRY_MS = 1000;

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const SPACE = 0x20;
const DATA = Buffer.from('data:');

/** How bytes become the data of events (Durable Streams protocol, section 5.8). */
export interface EventForm {
  /** Where they are cut into events. */
  readonly cutting: Cutting;
  /**
   * Lays out, in one buffer, what is the same for every reader: the data of one event, or a piece of one that is too
   * long.
   */
  readonly encode: Encoder;
  /** Does so behind a CR, where that differs: an LF at the beginning is the other half of its line end. */
  readonly encodeAfterReturn?: Encoder;
  /** What comes before the data. */
  readonly beginning: Buffer;
  /** What comes after it. */
  readonly end: string;
  readonly isBase64: boolean;
}

const text: EventForm = {
  cutting: {
    maxBytes: MAX_PIECE_BYTES,
    openBytes: openCharacterBytes,
    withholdsRest: true,
    fittingBytes: fittingLines,
  },
  encode: (parts) => [linesOfText(joined(parts))],
  encodeAfterReturn: (parts) => [linesOfText(withoutLineFeed(joined(parts)))],
  beginning: Buffer.from('event: data\n'),
  end: '',
  isBase64: false,
};

const base64: EventForm = {
  cutting: { maxBytes: MAX_PIECE_BYTES },
  encode: (parts) => [Buffer.from(joined(parts).toString('base64'))],
  beginning: Buffer.from('event: data\ndata:'),
  end: '\n',
  isBase64: true,
};

/** An array of values, one a line. */
const json: EventForm = {
  cutting: {
    maxBytes: MAX_PIECE_BYTES,
    openBytes: openLineBytes,
    withholdsRest: true,
    // A value that is too long has an event of its own.
    fittingBytes: (lines, isWithin) => (isWithin ? lines.indexOf(LINE_FEED) + 1 : 0) || lines.length,
  },
  encode: (parts) => [itemsOfLines(joined(parts))],
  beginning: Buffer.from('event: data\ndata:['),
  end: ']\n',
  isBase64: false,
};

/**
 * How the bytes of a stream of this type become data of events.
 *
 * @param hasValues whether they are values of JSON, one a line
 */
export function eventFormOf(type: string, hasValues: boolean): EventForm {
  if (hasValues) return json;
  return isJsonType(type) || mediaTypeOf(type).startsWith('text/') ? text : base64;
}

function joined(parts: readonly Buffer[]): Buffer {
  return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
}

/** What the first event comes after. */
export const RETRY_FRAME = Buffer.from(`retry: ${RETRY_MS}\n\n`);

/** How far a client has got. */
export interface StreamProgress {
  /** Position after what it has. */
  position: number;
  names: OffsetNames;
  /** Whether that is all that there is. */
  isAtEnd: boolean;
  /** Whether no more will come. */
  isClosed: boolean;
  cursor: string;
}

/**
 * The control event: up to where the client has everything, and whether more may
 * come. It has an id, as data has: a browser that comes back brings the last one.
 */
export function controlEvent({ position, names, isAtEnd, isClosed, cursor }: StreamProgress): string {
  const id = names.nameOf(position);
  const control = {
    streamNextOffset: id,
    ...(isAtEnd && { upToDate: true }),
    ...(isAtEnd && isClosed ? { streamClosed: true } : { streamCursor: cursor }),
  };
  return `event: control\ndata:${JSON.stringify(control)}\nid:${id}\n\n`;
}

/** What ends a data event. Its id comes last, so that not even a careless client has it without the data. */
export function endOfEvent({ end }: EventForm, { position, names }: StreamProgress): string {
  return `${end}id:${names.nameOf(position)}\n\n`;
}

interface Frame {
  beginning: Buffer;
  ending: string;
  layOut: Encoder;
  bytes: Buffer;
}

/** How data was sent last. */
const frames = new WeakMap<Buffer, Frame>();

/** Joins data with what comes before and after it: to one buffer, which all readers share for whom that is the same. */
export function frameOf(data: Buffer, beginning: Buffer, ending: string, layOut: Encoder): Buffer {
  const last = frames.get(data);
  if (last?.ending === ending && last.beginning === beginning && last.layOut === layOut) return last.bytes;
  const bytes = Buffer.concat(layOut([beginning, data, Buffer.from(ending)]));
  frames.set(data, { beginning, ending, layOut, bytes });
  return bytes;
}

/** How many bytes of a text are not much longer as lines of an event, each of which has a name. */
function fittingLines(text: Buffer): number {
  let lines = 0;
  for (let at = 0; at < text.length; at++) {
    if (text[at] !== LINE_FEED && text[at] !== CARRIAGE_RETURN) continue;
    if (text[at] === CARRIAGE_RETURN && text[at + 1] === LINE_FEED) at++;
    lines++;
    if (at + lines * (DATA.length + 1) >= 2 * MAX_PIECE_BYTES) return at + 1;
  }
  return text.length;
}

/** What was laid out of texts that end with a CR. */
const withReturn = new WeakSet<Buffer>();

/** Whether data, as a form has laid it out, is that of a text that ends with a CR. */
export function endsWithReturn(data: Buffer): boolean {
  return withReturn.has(data);
}

/** Whether the byte before a position of a file is a CR. */
export function isAfterReturn(file: OpenFile, position: number): boolean {
  return position > 0 && file.readInLine(position - 1, 1)[0] === CARRIAGE_RETURN;
}

function withoutLineFeed(text: Buffer): Buffer {
  return text[0] === LINE_FEED ? text.subarray(1) : text;
}

/** Byte by byte: text may be nothing but line ends. */
function linesOfText(text: Buffer): Buffer {
  const lines = Buffer.allocUnsafe(text.length + (lineEnds(text) + 1) * (DATA.length + 2));
  let out = 0;
  let isLineStart = true;
  for (let at = 0; at <= text.length; at++) {
    const byte = text[at];
    if (isLineStart) {
      out += DATA.copy(lines, out);
      // Clients take one space after the colon for ours.
      if (byte === SPACE) lines[out++] = SPACE;
    }
    isLineStart = byte === undefined || byte === LINE_FEED || byte === CARRIAGE_RETURN;
    lines[out++] = isLineStart ? LINE_FEED : (byte as number);
    if (byte === CARRIAGE_RETURN && text[at + 1] === LINE_FEED) at++;
  }
  const data = lines.subarray(0, out);
  if (text.at(-1) === CARRIAGE_RETURN) withReturn.add(data);
  return data;
}

/** How many there are at most. */
function lineEnds(text: Buffer): number {
  let count = 0;
  for (const byte of text) if (byte === LINE_FEED || byte === CARRIAGE_RETURN) count++;
  return count;
}
