import type { Stream } from '../../core/streams/stream.ts';
import type { OffsetNames } from '../../core/streams/stream-offset.ts';
import { isJsonType, mediaTypeOf } from '../../core/streams/stream-type.ts';
import type { StoredFile } from '../../storage/stored-file.ts';
import type { StreamState } from '../../storage/stream-state.ts';
import { arrayOfLines } from './json-values.ts';

/** Most bytes in one event, single JSON values aside. */
const MAX_EVENT_BYTES = 64 * 1024;

/** How long a browser waits before it comes back, in milliseconds. */
const RETRY_MS = 1000;

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const SPACE = 0x20;
const DATA = Buffer.from('data:');
const NEWLINE = Buffer.from('\n');

/** How bytes become the data of events (Durable Streams protocol, section 5.8). */
export type EventEncoding = 'json' | 'text' | 'base64';

/** How the bytes of a stream of this type become data of events. */
export function eventEncodingOf(type: string): EventEncoding {
  if (isJsonType(type)) return 'json';
  return mediaTypeOf(type).startsWith('text/') ? 'text' : 'base64';
}

/** One data event and the control event after it. */
export interface StreamEvent {
  /** Both, as text. */
  frame: Buffer;
  /** Position after the bytes that it has. */
  end: number;
  /** Whether nothing can come after it. */
  isLast: boolean;
}

/** What the first event comes after. */
export const RETRY_FRAME = frameOf(`retry: ${RETRY_MS}\n\n`);

/** Lays events out in one piece. */
export function frameOf(...parts: (Buffer | string)[]): Buffer {
  return Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)));
}

/**
 * The control event: up to where the client has everything, and whether more may
 * come. It has an id, as data has: a browser that comes back brings the last one.
 */
export function controlEvent(state: StreamState, names: OffsetNames, end: number, cursor: string): string {
  const isAtEnd = end === state.size;
  const id = names.nameOf(end);
  const control = {
    streamNextOffset: id,
    ...(isAtEnd && { upToDate: true }),
    ...(isAtEnd && state.closed === true ? { streamClosed: true } : { streamCursor: cursor }),
  };
  return `event: control\ndata:${JSON.stringify(control)}\nid:${id}\n\n`;
}

/**
 * Reads the bytes from `start` on as one event.
 *
 * @returns undefined when there is nothing that can be sent: only the beginning of a character
 */
export async function readEvent(
  { state, names }: Stream,
  file: StoredFile,
  start: number,
  cursor: string,
  encoding: EventEncoding,
): Promise<StreamEvent | undefined> {
  const block = await readWhole(state, file, start, encoding);
  if (block.length === 0) return undefined;
  const end = start + block.length;
  // Its id comes last, so that not even a careless client has it without the data.
  const rest = `id:${names.nameOf(end)}\n\n${controlEvent(state, names, end, cursor)}`;
  return {
    frame: frameOf('event: data\n', ...linesOf(block, encoding), rest),
    end,
    isLast: state.closed === true && end === state.size,
  };
}

/** Reads no half characters and no half values, unless nothing will come to make them whole. */
async function readWhole(
  { size, closed }: StreamState,
  file: StoredFile,
  start: number,
  encoding: EventEncoding,
): Promise<Buffer> {
  for (let length = MAX_EVENT_BYTES; ; length *= 2) {
    const isRest = start + length >= size;
    const block = await file.read(start, Math.min(length, size - start));
    if (encoding === 'base64' || (isRest && closed === true)) return block;
    if (encoding === 'text') return block.subarray(0, wholeCharacters(block));
    const end = block.lastIndexOf(LINE_FEED) + 1;
    if (end > 0 || isRest) return block.subarray(0, end);
  }
}

/** How many of the bytes belong to characters of UTF-8 that are whole. */
function wholeCharacters(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back] as number;
    if (byte < 0x80) return bytes.length;
    if (byte < 0xc0) continue;
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
    return byte < 0xf8 && back < length ? bytes.length - back : bytes.length;
  }
  return bytes.length;
}

/** The lines of an event that have its data. */
function linesOf(block: Buffer, encoding: EventEncoding): Buffer[] {
  if (encoding === 'text') return [linesOfText(block)];
  return [DATA, encoding === 'json' ? arrayOfLines(block) : Buffer.from(block.toString('base64')), NEWLINE];
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
  return lines.subarray(0, out);
}

/** How many there are at most. */
function lineEnds(text: Buffer): number {
  let count = 0;
  for (const byte of text) if (byte === LINE_FEED || byte === CARRIAGE_RETURN) count++;
  return count;
}
