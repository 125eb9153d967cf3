import type { Opcode } from './opcode.ts';

const FIN = 0x80;

/**
 * Makes a function that lays bytes out as complete, unmasked and unfragmented
 * WebSocket messages in one new buffer, ready for any number of sockets.
 *
 * @param opcode opcode of every message
 * @param maxMessageBytes longest payload of one message; more bytes make more messages
 */
export function messageEncoder(
  opcode: typeof Opcode.text | typeof Opcode.binary,
  maxMessageBytes: number,
): (parts: readonly Uint8Array[]) => Buffer {
  const fullMessageBytes = headerBytes(maxMessageBytes) + maxMessageBytes;

  return (parts) => {
    let remaining = 0;
    for (const part of parts) remaining += part.length;
    const rest = remaining % maxMessageBytes;
    const encoded = Buffer.allocUnsafeSlow(
      Math.floor(remaining / maxMessageBytes) * fullMessageBytes +
        (rest === 0 ? 0 : headerBytes(rest) + rest),
    );

    let written = 0;
    let room = 0; // what the current message still takes
    for (const part of parts) {
      for (let at = 0; at < part.length; ) {
        if (room === 0) {
          room = Math.min(remaining, maxMessageBytes);
          written = writeHeader(encoded, written, FIN | opcode, room);
        }
        const taken = Math.min(room, part.length - at);
        encoded.set(at === 0 && taken === part.length ? part : part.subarray(at, at + taken), written);
        written += taken;
        at += taken;
        room -= taken;
        remaining -= taken;
      }
    }
    return encoded;
  };
}

function headerBytes(payloadBytes: number): number {
  if (payloadBytes < 126) return 2;
  return payloadBytes < 65_536 ? 4 : 10;
}

/** Returns where the payload begins. */
function writeHeader(target: Buffer, at: number, firstByte: number, payloadBytes: number): number {
  target[at] = firstByte;
  if (payloadBytes < 126) {
    target[at + 1] = payloadBytes;
    return at + 2;
  }
  if (payloadBytes < 65_536) {
    target[at + 1] = 126;
    return target.writeUInt16BE(payloadBytes, at + 2);
  }
  target[at + 1] = 127;
  return target.writeUInt32BE(payloadBytes, target.writeUInt32BE(0, at + 2));
}
