import { cutCharacterBytes } from '../../core/characters.ts';
import type { Stream } from '../../core/streams/stream.ts';
import type { OffsetNames } from '../../core/streams/stream-offset.ts';
import { isJsonType, mediaTypeOf } from '../../core/streams/stream-type.ts';
import type { StreamState } from '../../storage/records/stream-state.ts';
import type { StoredFile } from '../../storage/stored-file.ts';
import { StorageError } from '../../wire/errors.ts';
import { arrayOfLines } from '../json/json-values.ts';

/** Most bytes in one event, single JSON values aside; and in one piece of those. */
const MAX_PIECE_BYTES = 64 * 1024;

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

/** A piece of a data event: all of it, unless that is one long JSON value. The same for every reader. */
export interface EventPiece {
  /** As they are sent. */
  bytes: Buffer;
  /** Position after what it has. */
  end: number;
  /** Position after what its event has. */
  eventEnd: number;
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

/** Reads the bytes of a stream as data events. */
export class EventReader {
  readonly #stream: Stream;
  readonly #file: StoredFile;
  readonly #encoding: EventEncoding;
  /** Where it has looked for the end of a long value, so that it need not look there again. */
  #searched = { start: 0, end: 0, isFound: false };

  constructor(stream: Stream, file: StoredFile, encoding: EventEncoding) {
    this.#stream = stream;
    this.#file = file;
    this.#encoding = encoding;
  }

  /**
   * Reads the event that begins at `start`, or as much of it as is sent at a time.
   *
   * @returns undefined when there is nothing that can be sent: only the beginning of a character or of a value
   */
  async begin(start: number): Promise<EventPiece | undefined> {
    const { size, closed = false } = this.#stream.state;
    const read = await this.#file.read(start, Math.min(MAX_PIECE_BYTES, size - start));
    const block = this.#encoding === 'text' ? read.subarray(0, fittingText(read)) : read;
    const isRest = start + block.length >= size;
    const whole = isRest && closed ? block.length : wholeBytes(block, this.#encoding);
    if (whole > 0)
      return this.#lastPiece(
        'event: data\n',
        linesOf(block.subarray(0, whole), this.#encoding),
        start + whole,
      );
    if (isRest) return undefined;
    const eventEnd = await this.#endOfValue(start, start + block.length, size, closed);
    if (eventEnd === undefined) return undefined;
    return { bytes: frameOf('event: data\n', DATA, '[', block), end: start + block.length, eventEnd };
  }

  /**
   * Reads the next piece of an event that has begun.
   *
   * @throws {StorageError} when the file is not that long any more
   */
  async goOn(position: number, eventEnd: number): Promise<EventPiece> {
    const end = Math.min(position + MAX_PIECE_BYTES, eventEnd);
    const block = await this.#file.read(position, end - position);
    if (block.length < end - position) throw new StorageError('the file was cut by another program');
    if (end < eventEnd) return { bytes: block, end, eventEnd };
    const isEnded = block.at(-1) === LINE_FEED;
    return this.#lastPiece(isEnded ? block.subarray(0, -1) : block, [Buffer.from(']\n')], end);
  }

  /** Its id comes last, so that not even a careless client has it without the data. */
  #lastPiece(first: Buffer | string, rest: readonly Buffer[], end: number): EventPiece {
    const bytes = frameOf(first, ...rest, `id:${this.#stream.names.nameOf(end)}\n\n`);
    return { bytes, end, eventEnd: end };
  }

  /**
   * Looks for the position after the value that begins at `start` and has no end before `from`.
   *
   * @returns undefined when its end has not come yet
   */
  async #endOfValue(
    start: number,
    from: number,
    size: number,
    isClosed: boolean,
  ): Promise<number | undefined> {
    const last = this.#searched;
    if (last.start === start && last.isFound) return last.end;
    let at = last.start === start ? Math.max(from, last.end) : from;
    while (at < size) {
      const block = await this.#file.read(at, Math.min(MAX_PIECE_BYTES, size - at));
      if (block.length === 0) return undefined;
      const lineEnd = block.indexOf(LINE_FEED);
      const isFound = lineEnd !== -1;
      at += isFound ? lineEnd + 1 : block.length;
      this.#searched = { start, end: at, isFound };
      if (isFound) return at;
    }
    // Nothing will come to make it whole.
    return isClosed ? size : undefined;
  }
}

/** How many bytes of a text are not much longer as lines of an event, each of which has a name. */
function fittingText(text: Buffer): number {
  let lines = 0;
  for (let at = 0; at < text.length; at++) {
    if (text[at] !== LINE_FEED && text[at] !== CARRIAGE_RETURN) continue;
    if (text[at] === CARRIAGE_RETURN && text[at + 1] === LINE_FEED) at++;
    lines++;
    if (at + lines * (DATA.length + 1) >= 2 * MAX_PIECE_BYTES) return at + 1;
  }
  return text.length;
}

/** How many bytes are whole characters, or whole values. */
function wholeBytes(block: Buffer, encoding: EventEncoding): number {
  if (encoding === 'base64') return block.length;
  return encoding === 'text' ? block.length - cutCharacterBytes(block) : block.lastIndexOf(LINE_FEED) + 1;
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
