import { type JsonNode, parseJson } from './json-node.ts';

/** As much of a line is read as a record, in bytes; a longer one is named so. */
export const MAX_RECORD_BYTES = 64 * 1024;

const LF = 0x0a;
const CR = 0x0d;

/** One line of a resource whose lines are JSON values. */
export interface RecordLine {
  /** Where it begins in the resource. */
  start: number;
  /** Where the next one begins: after its line feed, if it has one. */
  end: number;
  /** Its text; the beginning of one that is cut. Bytes that are no UTF-8 are replacement characters. */
  text: string;
  /** Its value; undefined for what is cut, and what is no JSON. */
  node: JsonNode | undefined;
  /** What it is: a record, a longer line than is read, one without its line feed as yet, or something else. */
  kind: 'record' | 'long' | 'partial' | 'text' | 'blank';
}

/**
 * Cuts bytes into lines and reads each as JSON. A line that goes on behind the bytes is `long` once it has more than
 * 64 KiB, else `partial`, or, where nothing comes after the bytes, what it is.
 *
 * @param bytes from the beginning of a line on
 * @param at where they are in the resource
 * @param isEnd whether nothing will come after them
 */
export function recordsOf(bytes: Uint8Array, at: number, isEnd: boolean): RecordLine[] {
  const records: RecordLine[] = [];
  let start = 0;
  while (start < bytes.length) {
    const lineFeed = bytes.indexOf(LF, start);
    const end = lineFeed < 0 ? bytes.length : lineFeed + 1;
    records.push(recordOf(bytes.subarray(start, end), at + start, lineFeed >= 0 || isEnd));
    start = end;
  }
  return records;
}

function recordOf(line: Uint8Array, start: number, isWhole: boolean): RecordLine {
  const end = start + line.length;
  const length = contentLength(line);
  const isLong = length > MAX_RECORD_BYTES;
  const text = new TextDecoder().decode(line.subarray(0, Math.min(length, MAX_RECORD_BYTES)));
  if (isLong) return { start, end, text, node: undefined, kind: 'long' };
  if (!isWhole) return { start, end, text, node: undefined, kind: 'partial' };
  if (text.trim() === '') return { start, end, text, node: undefined, kind: 'blank' };
  const node = parseJson(text);
  return { start, end, text, node, kind: node === undefined ? 'text' : 'record' };
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
