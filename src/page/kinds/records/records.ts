import { cutsIn, PSEUDO_LINE_BYTES } from '../../log/pseudo-lines.ts';
import { type JsonNode, parseJson } from './json-node.ts';

/**
 * As much of a line is read as a record, in bytes. A longer one is named so, and cut as the lines of a log are: that
 * may befall one that has more than 63 KiB.
 */
export const MAX_RECORD_BYTES = PSEUDO_LINE_BYTES;

const LF = 0x0a;
const CR = 0x0d;

/**
 * What a line, or a piece of one, is: a JSON value; one that is too long, or how that goes on; one whose end has not come
 * as yet; one that is nested too deep to be read; no JSON; nothing.
 */
export type RecordKind = 'record' | 'long' | 'rest' | 'partial' | 'deep' | 'text' | 'blank';

/** One line of a resource whose lines are JSON values; of a long one a piece. */
export interface RecordLine {
  kind: RecordKind;
  /** Where it begins in the resource. */
  start: number;
  /** Where the next one begins: behind its line feed, if it has one. */
  end: number;
  /** Line feeds between the first byte and this. */
  line: number;
  /** Bytes that are no UTF-8 are replacement characters. */
  text: string;
  /** Its value, if it is a record. */
  node: JsonNode | undefined;
}

/**
 * Cuts bytes into lines and reads each as JSON.
 *
 * @param bytes from the beginning of a line on, or of a piece of one
 * @param at where they are in the resource
 */
export function recordsOf(bytes: Uint8Array, at: number): RecordLine[] {
  const records: RecordLine[] = [];
  const cuts = cutsIn(bytes, at);
  let start = 0;
  let line = 0;
  while (start < bytes.length) {
    const lineFeed = bytes.indexOf(LF, start);
    const lineEnd = lineFeed < 0 ? bytes.length : lineFeed + 1;
    // What is cut is known to be longer than it is allowed to be, be its end here or not.
    const inside = cuts.filter((cut) => cut > at + start && cut < at + lineEnd).map((cut) => cut - at);
    for (const [index, end] of [...inside, lineEnd].entries()) {
      const piece = bytes.subarray(start, end);
      const read = index > 0 ? 'rest' : inside.length > 0 ? 'long' : 'whole';
      records.push({ ...recordOf(piece, read), start: at + start, end: at + end, line });
      start = end;
    }
    line++;
  }
  return records;
}

function recordOf(
  piece: Uint8Array,
  read: 'whole' | 'long' | 'rest',
): Pick<RecordLine, 'kind' | 'text' | 'node'> {
  const content = piece.subarray(0, contentLength(piece));
  const isLong = content.length > MAX_RECORD_BYTES;
  const text = new TextDecoder().decode(isLong ? content.subarray(0, MAX_RECORD_BYTES) : content);
  const kind = read === 'whole' && isLong ? 'long' : read;
  if (kind !== 'whole') return { kind, text, node: undefined };
  const { node, isTooDeep } = parseJson(text);
  if (isTooDeep) return { kind: 'deep', text, node: undefined };
  const hasEnd = content.length < piece.length;
  // Without its line feed `12` may be the beginning of `123`; what has brackets is whole with the last one.
  if (node !== undefined && (hasEnd || node.kind === 'object' || node.kind === 'array')) {
    return { kind: 'record', text, node };
  }
  if (!hasEnd) return { kind: 'partial', text, node: undefined };
  return { kind: text.trim() === '' ? 'blank' : 'text', text, node: undefined };
}

/** Without the line's end. */
function contentLength(line: Uint8Array): number {
  let length = line.length;
  if (line[length - 1] === LF) {
    length--;
    if (line[length - 1] === CR) length--;
  }
  return length;
}
