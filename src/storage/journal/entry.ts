import zlib from 'node:zlib';
import { readBlock } from '../file-io.ts';

/** Bytes before the body of an entry: the length of the body, and its CRC-32. */
const PREFIX_BYTES = 8;

/** Longest body that is believed; what claims to be longer is no entry. */
const MAX_BODY_BYTES = 1024 * 1024;

/** How much of a journal is read at a time: more than the longest entry. */
const READ_BYTES = 2 * 1024 * 1024;

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
 * @param damaged called with the position of an entry that is damaged, if there is one: no write that was cut off, or
 *   lost, leaves that
 */
export async function* readEntries<Header>(
  fd: number,
  progressed: (bytes: number) => void,
  damaged: (position: number) => void = () => {},
): AsyncGenerator<FoundEntry<Header>, void, undefined> {
  let rest: Buffer = NO_BYTES;
  for (let readTo = 0; ; ) {
    const block = await readBlock(fd, readTo, READ_BYTES);
    if (block.length === 0) {
      if (isDamaged(rest)) damaged(readTo - rest.length);
      return;
    }
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
    // Another block would have completed it, were it no entry that is torn.
    if (rest.length > PREFIX_BYTES + MAX_BODY_BYTES) {
      if (isDamaged(rest)) damaged(start + at);
      return;
    }
  }
}

/** Whether bytes that begin with no whole entry have all of one, or what never was one; after a loss of power there may be zeros. */
function isDamaged(bytes: Buffer): boolean {
  if (bytes.length < PREFIX_BYTES) return false;
  const length = bytes.readUInt32LE(0) % VOID_FLAG;
  const isTorn = length >= 4 && length <= MAX_BODY_BYTES && bytes.length < PREFIX_BYTES + length;
  return !isTorn && bytes.some((byte) => byte !== 0);
}

/** Where a whole entry ends that begins at a position; undefined when none does. */
function endOf(bytes: Buffer, at: number): number | undefined {
  if (bytes.length - at < PREFIX_BYTES) return undefined;
  const length = bytes.readUInt32LE(at) % VOID_FLAG;
  const body = bytes.subarray(at + PREFIX_BYTES, at + PREFIX_BYTES + length);
  if (length < 4 || length > MAX_BODY_BYTES || body.length < length) return undefined;
  const isWhole = zlib.crc32(body) === bytes.readUInt32LE(at + 4) && 4 + body.readUInt32LE(0) <= length;
  return isWhole ? at + PREFIX_BYTES + length : undefined;
}

function isVoid(bytes: Buffer, at: number): boolean {
  return bytes.readUInt32LE(at) >= VOID_FLAG;
}

function decode<Header>(body: Buffer): JournalEntry<Header> {
  const headerEnd = 4 + body.readUInt32LE(0);
  return { header: JSON.parse(body.toString('utf8', 4, headerEnd)), payload: body.subarray(headerEnd) };
}
