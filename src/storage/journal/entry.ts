import zlib from 'node:zlib';
import { readBlock } from '../file-io.ts';

/** Bytes before the body of an entry: the length of the body, and its CRC-32. */
const PREFIX_BYTES = 8;

/** Longest body that is believed; what claims to be longer is no entry. */
const MAX_BODY_BYTES = 1024 * 1024;

const MAX_ENTRY_BYTES = PREFIX_BYTES + MAX_BODY_BYTES;

/** Where the header of an entry begins: behind its length. */
const HEADER_AT = PREFIX_BYTES + 4;

/** How much of a journal is read at a time: more than the longest entry. */
const READ_BYTES = 2 * 1024 * 1024;

/** How many bytes of what may be entries are summed up at most to find one. */
const MAX_TRIED_BYTES = 64 * 1024 * 1024;

/** Set in the length of an entry that is void. The length itself never comes near it. */
const VOID_FLAG = 0x8000_0000;

/** What makes an entry void: one byte, so that it is either written or not, and takes no room on the disk. */
export const VOID_MARK = { offset: 3, byte: 0x80 } as const;

const NO_BYTES: Buffer = Buffer.alloc(0);

/** One change of a stream: what it becomes is in the header, what is added to its file is the payload. */
export interface JournalEntry<Header> {
  header: Header;
  payload: Buffer;
}

/** An entry that was found in a journal. */
export interface FoundEntry<Header> extends JournalEntry<Header> {
  /** Where it begins in the journal. */
  position: number;
}

/**
 * Lays an entry out for the journal: `[u32 body length][u32 CRC-32 of the body]`, and the
 * body: `[u32 header length][header as JSON][payload]`. Numbers are little-endian.
 * The highest bit of the length says that the entry is void.
 */
export function encodeEntry(header: object, payload: readonly Buffer[]): readonly Buffer[] {
  const json = Buffer.from(JSON.stringify(header));
  const head = Buffer.allocUnsafe(PREFIX_BYTES + 4 + json.length);
  let length = 4 + json.length;
  for (const part of payload) length += part.length;
  head.writeUInt32LE(length, 0);
  head.writeUInt32LE(json.length, PREFIX_BYTES);
  json.copy(head, PREFIX_BYTES + 4);
  let checksum = zlib.crc32(head.subarray(PREFIX_BYTES));
  for (const part of payload) checksum = zlib.crc32(part, checksum);
  head.writeUInt32LE(checksum, 4);
  return [head, ...payload];
}

/**
 * Yields the entries of an open file that are not void, up to the end or the
 * first that is torn or damaged. A payload keeps the block in memory that it was read from.
 *
 * @param progressed called with how many more bytes were read
 * @param damaged called with the position at which no entry begins, if there are whole ones behind it: no write that was
 *   cut off leaves that. Default: that is not looked for
 */
export async function* readEntries<Header>(
  fd: number,
  progressed: (bytes: number) => void,
  damaged?: (position: number) => void,
): AsyncGenerator<FoundEntry<Header>, void, undefined> {
  let rest: Buffer = NO_BYTES;
  let readTo = 0;
  // Another block would have completed what is longer, were it no entry that is torn.
  while (rest.length <= MAX_ENTRY_BYTES) {
    const block = await readBlock(fd, readTo, READ_BYTES);
    if (block.length === 0) break;
    readTo += block.length;
    progressed(block.length);
    const bytes = rest.length === 0 ? block : Buffer.concat([rest, block]);
    const start = readTo - bytes.length;
    let at = 0;
    for (let end = endOf(bytes, at); end !== undefined; end = endOf(bytes, at)) {
      if (!isVoid(bytes, at)) {
        yield { position: start + at, ...decode<Header>(bytes.subarray(at + PREFIX_BYTES, end)) };
      }
      at = end;
    }
    rest = bytes.subarray(at);
  }
  const end = readTo - rest.length;
  if (damaged !== undefined && rest.length > 0 && (await hasEntryBehind(fd, end))) damaged(end);
}

/** Whether a whole entry begins anywhere behind a position, as far as that can be found out without much work. */
async function hasEntryBehind(fd: number, position: number): Promise<boolean> {
  let triedBytes = 0;
  for (let from = position + 1; ; from += READ_BYTES - MAX_ENTRY_BYTES) {
    const bytes = await readBlock(fd, from, READ_BYTES);
    // Its header is an object.
    for (let brace = bytes.indexOf('{', HEADER_AT); brace !== -1; brace = bytes.indexOf('{', brace + 1)) {
      const at = brace - HEADER_AT;
      if (!mayBeEntry(bytes, at)) continue;
      triedBytes += bytes.readUInt32LE(at) % VOID_FLAG;
      if (triedBytes > MAX_TRIED_BYTES) return false;
      if (endOf(bytes, at) !== undefined) return true;
    }
    if (bytes.length < READ_BYTES) return false;
  }
}

/** Where a whole entry ends that begins at a position; undefined when none does. */
function endOf(bytes: Buffer, at: number): number | undefined {
  if (!mayBeEntry(bytes, at)) return undefined;
  const end = at + PREFIX_BYTES + (bytes.readUInt32LE(at) % VOID_FLAG);
  const checksum = zlib.crc32(bytes.subarray(at + PREFIX_BYTES, end));
  return checksum === bytes.readUInt32LE(at + 4) ? end : undefined;
}

/** Whether there is as much as the lengths say that an entry at a position would have. */
function mayBeEntry(bytes: Buffer, at: number): boolean {
  if (bytes.length - at < PREFIX_BYTES) return false;
  const length = bytes.readUInt32LE(at) % VOID_FLAG;
  if (length < 4 || length > MAX_BODY_BYTES || bytes.length - at - PREFIX_BYTES < length) return false;
  return 4 + bytes.readUInt32LE(at + PREFIX_BYTES) <= length;
}

function isVoid(bytes: Buffer, at: number): boolean {
  return bytes.readUInt32LE(at) >= VOID_FLAG;
}

function decode<Header>(body: Buffer): JournalEntry<Header> {
  const headerEnd = 4 + body.readUInt32LE(0);
  return { header: JSON.parse(body.toString('utf8', 4, headerEnd)), payload: body.subarray(headerEnd) };
}
