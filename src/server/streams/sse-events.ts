import type { Stream } from '../../core/streams/stream.ts';
import type { OffsetNames } from '../../core/streams/stream-offset.ts';
import { isJsonType, mediaTypeOf } from '../../core/streams/stream-type.ts';
import type { StoredFile } from '../../storage/stored-file.ts';
import type { StreamState } from '../../storage/stream-state.ts';
import { encodeChunk } from '../http-follow-encoders.ts';
import { arrayOfLines } from './json-values.ts';

/** Most bytes in one event, single JSON values aside. */
const MAX_EVENT_BYTES = 64 * 1024;

const LINE_FEED = 0x0a;
const LINE_END = /\r\n|\r|\n/;

/** How bytes become the data of events (Durable Streams protocol, section 5.8). */
export type EventEncoding = 'json' | 'text' | 'base64';

/** How the bytes of a stream of this type become data of events. */
export function eventEncodingOf(type: string): EventEncoding {
  if (isJsonType(type)) return 'json';
  return mediaTypeOf(type).startsWith('text/') ? 'text' : 'base64';
}

/** One data event and the control event after it. */
export interface StreamEvent {
  /** Both, as one chunk of a chunked body. */
  frame: Buffer;
  /** Position after the bytes that it has. */
  end: number;
  /** Whether nothing can come after it. */
  isLast: boolean;
}

/** Lays an event out as one chunk of a chunked body. */
export function frameOf(event: string): Buffer {
  return Buffer.concat(encodeChunk([Buffer.from(event)]));
}

/** The control event: up to where the client has everything, and whether more may come. */
export function controlEvent(state: StreamState, names: OffsetNames, end: number, cursor: string): string {
  const isAtEnd = end === state.size;
  const control = {
    streamNextOffset: names.nameOf(end),
    ...(isAtEnd && { upToDate: true }),
    ...(isAtEnd && state.closed === true ? { streamClosed: true } : { streamCursor: cursor }),
  };
  return `event: control\ndata:${JSON.stringify(control)}\n\n`;
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
  const data = `event: data\n${linesOf(block, encoding)}\n`;
  return {
    frame: frameOf(data + controlEvent(state, names, end, cursor)),
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
export function wholeCharacters(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back] as number;
    if (byte < 0x80) return bytes.length;
    if (byte < 0xc0) continue;
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
    return byte < 0xf8 && back < length ? bytes.length - back : bytes.length;
  }
  return bytes.length;
}

function linesOf(block: Buffer, encoding: EventEncoding): string {
  if (encoding === 'base64') return `data:${block.toString('base64')}\n`;
  if (encoding === 'json') return `data:${arrayOfLines(block)}\n`;
  // Clients take one space after the colon for ours.
  return block
    .toString()
    .split(LINE_END)
    .map((line) => `data:${line.startsWith(' ') ? ' ' : ''}${line}\n`)
    .join('');
}
