import type { StoredFile } from '../../../storage/stored-file.ts';

const BLOCK_BYTES = 1024 * 1024;

/** Longest line that is looked into: no request brings a longer one. */
const MAX_LINE_BYTES = 16 * 1024 * 1024;

const LINE_FEED = 0x0a;
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * @returns the position of the first line that is no JSON value; undefined when each of the first `size` bytes is in
 *   one that is
 */
export async function firstBadLine(file: StoredFile, size: number): Promise<number | undefined> {
  let parts: Buffer[] = [];
  let start = 0;
  let length = 0;
  for (let at = 0; at < size; ) {
    const block = await file.read(at, Math.min(BLOCK_BYTES, size - at));
    if (block.length === 0) break;
    let from = 0;
    for (let end = block.indexOf(LINE_FEED); end !== -1; end = block.indexOf(LINE_FEED, from)) {
      if (!isValue(Buffer.concat([...parts, block.subarray(from, end)]))) return start;
      from = end + 1;
      start = at + from;
      parts = [];
      length = 0;
    }
    parts.push(block.subarray(from));
    length += block.length - from;
    if (length > MAX_LINE_BYTES) return start;
    at += block.length;
  }
  return length > 0 ? start : undefined;
}

function isValue(line: Buffer): boolean {
  try {
    JSON.parse(UTF8.decode(line));
    return true;
  } catch {
    return false;
  }
}
