import type { Opcode } from './opcode.ts';

const FIN = 0x80;

/** Longest header of a message of less than 64 KiB, in bytes. */
export const SHORT_HEADER_BYTES = 4;

type DataOpcode = typeof Opcode.text | typeof Opcode.binary;

/**
 * Makes a function that encodes bytes as complete, unmasked and unfragmented WebSocket
 * messages. It copies nothing: the result consists of headers and views of the input,
 * to be written one after the other.
 *
 * @param maxMessageBytes longest payload of one message; more bytes make more messages
 */
export function messageEncoder(
  opcode: DataOpcode,
  maxMessageBytes: number,
): (parts: readonly Buffer[]) => Buffer[] {
  const fullHeader = messageHeader(opcode, maxMessageBytes);

  return (parts) => {
    let remaining = parts.reduce((bytes, part) => bytes + part.length, 0);
    let room = 0; // of the current message
    const encoded: Buffer[] = [];
    for (const part of parts) {
      for (let at = 0; at < part.length; ) {
        if (room === 0) {
          room = Math.min(remaining, maxMessageBytes);
          encoded.push(room === maxMessageBytes ? fullHeader : messageHeader(opcode, room));
        }
        const end = Math.min(at + room, part.length);
        encoded.push(at === 0 && end === part.length ? part : part.subarray(at, end));
        room -= end - at;
        remaining -= end - at;
        at = end;
      }
    }
    return encoded;
  };
}

/** The header of a complete, unmasked and unfragmented message. */
export function messageHeader(opcode: DataOpcode, payloadBytes: number): Buffer {
  if (payloadBytes < 65_536) {
    const short = Buffer.alloc(payloadBytes < 126 ? 2 : SHORT_HEADER_BYTES);
    putShortHeader(short, 0, opcode, payloadBytes);
    return short;
  }
  const bytes = Buffer.alloc(10);
  bytes[0] = FIN | opcode;
  bytes[1] = 127;
  bytes.writeUIntBE(payloadBytes, 4, 6);
  return bytes;
}

/**
 * Writes the header of a complete, unmasked and unfragmented message of less than 64 KiB into a buffer.
 *
 * @returns where its payload begins there
 */
export function putShortHeader(
  target: Uint8Array,
  at: number,
  opcode: DataOpcode,
  payloadBytes: number,
): number {
  target[at] = FIN | opcode;
  if (payloadBytes < 126) {
    target[at + 1] = payloadBytes;
    return at + 2;
  }
  target[at + 1] = 126;
  target[at + 2] = payloadBytes >>> 8;
  target[at + 3] = payloadBytes;
  return at + SHORT_HEADER_BYTES;
}
