import zlib from 'node:zlib';

/** Bytes before the body of a record: the length of the body, and its CRC-32. */
const PREFIX_BYTES = 8;

/** Longest body that is believed; what claims to be longer is no record. */
const MAX_BODY_BYTES = 1024 * 1024;

/** One change of a stream: what it becomes is in the header, what is added to its file is the payload. */
export interface RedoRecord<Header> {
  header: Header;
  payload: Buffer;
}

/**
 * Lays a record out for the log: `[u32 body length][u32 CRC-32 of the body]`, and the
 * body: `[u32 header length][header as JSON][payload]`. Numbers are little-endian.
 */
export function encodeRecord(header: object, payload: Buffer): readonly Buffer[] {
  const json = Buffer.from(JSON.stringify(header));
  const head = Buffer.allocUnsafe(PREFIX_BYTES + 4 + json.length);
  head.writeUInt32LE(4 + json.length + payload.length, 0);
  head.writeUInt32LE(json.length, PREFIX_BYTES);
  json.copy(head, PREFIX_BYTES + 4);
  head.writeUInt32LE(zlib.crc32(payload, zlib.crc32(head.subarray(PREFIX_BYTES))), 4);
  return payload.length === 0 ? [head] : [head, payload];
}

/** Yields the records of a log, up to the end or the first that is torn; returns how many bytes they take. */
export function* decodeRecords<Header>(log: Buffer): Generator<RedoRecord<Header>, number, undefined> {
  let at = 0;
  while (log.length - at >= PREFIX_BYTES) {
    const length = log.readUInt32LE(at);
    const body = log.subarray(at + PREFIX_BYTES, at + PREFIX_BYTES + length);
    if (length < 4 || length > MAX_BODY_BYTES || body.length < length) break;
    if (zlib.crc32(body) !== log.readUInt32LE(at + 4)) break;
    const headerLength = body.readUInt32LE(0);
    if (4 + headerLength > length) break;
    const header = JSON.parse(body.toString('utf8', 4, 4 + headerLength));
    yield { header, payload: body.subarray(4 + headerLength) };
    at += PREFIX_BYTES + length;
  }
  return at;
}
