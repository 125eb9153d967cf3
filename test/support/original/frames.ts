import { createHash, randomBytes } from 'node:crypto';

/** WebSocket frames for the emulated originals, on purpose without a line of what they are to test. */
export const Op = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

/** Write buffer of the original on both sides, and so its longest frame, in payload bytes. */
export const ORIGINAL_FRAGMENT_BYTES = 10_240;

export interface Frame {
  fin: boolean;
  opcode: number;
  masked: boolean;
  payload: Buffer;
}

/** Lays one frame out; a mask is random. `reserved` goes into the three reserved bits. */
export function frame(
  opcode: number,
  payload: Uint8Array | string = '',
  { fin = true, masked = false, reserved = 0 } = {},
): Buffer {
  const bytes = Buffer.from(payload);
  const head = Buffer.alloc(frameHeadBytes(bytes.length));
  head[0] = (fin ? 0x80 : 0) | (reserved << 4) | opcode;
  if (head.length === 2) head[1] = bytes.length;
  else if (head.length === 4) {
    head[1] = 126;
    head.writeUInt16BE(bytes.length, 2);
  } else {
    head[1] = 127;
    head.writeBigUInt64BE(BigInt(bytes.length), 2);
  }
  if (!masked) return Buffer.concat([head, bytes]);
  head[1]! |= 0x80;
  const mask = randomBytes(4);
  return Buffer.concat([head, mask, applyMask(bytes, mask)]);
}

function frameHeadBytes(payloadBytes: number): number {
  if (payloadBytes < 126) return 2;
  return payloadBytes < 65_536 ? 4 : 10;
}

function applyMask(bytes: Buffer, mask: Buffer): Buffer {
  // By words as far as that goes: some tests send tens of megabytes.
  const wordCount = bytes.byteOffset % 4 === 0 ? Math.floor(bytes.length / 4) : 0;
  const words = new Uint32Array(bytes.buffer, wordCount === 0 ? 0 : bytes.byteOffset, wordCount);
  const [key = 0] = new Uint32Array(Uint8Array.from(mask).buffer);
  for (let i = 0; i < wordCount; i++) words[i]! ^= key;
  for (let i = wordCount * 4; i < bytes.length; i++) bytes[i]! ^= mask[i & 3]!;
  return bytes;
}

/** One message as the original writes it: a frame for each 10,240 bytes, the last one with FIN. */
export function originalMessage(opcode: number, payload: Uint8Array, masked: boolean): Buffer {
  const frames: Buffer[] = [];
  let at = 0;
  do {
    const end = Math.min(at + ORIGINAL_FRAGMENT_BYTES, payload.length);
    const options = { fin: end === payload.length, masked };
    frames.push(frame(at === 0 ? opcode : Op.continuation, payload.subarray(at, end), options));
    at = end;
  } while (at < payload.length);
  return Buffer.concat(frames);
}

/** Payload of a close frame. */
export function closePayload(code: number, reason = ''): Buffer {
  const payload = Buffer.alloc(2 + Buffer.byteLength(reason));
  payload.writeUInt16BE(code);
  payload.write(reason, 2);
  return payload;
}

/** The `Sec-WebSocket-Accept` that belongs to a key. */
export function acceptOf(key: string): string {
  return createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
}

/** Cuts a connection's bytes into whole frames, unmasked. */
export class FrameReader {
  #buffered: Buffer[] = [];
  #bufferedBytes = 0;
  #wanted = 2;

  /** Whether a frame has begun and not ended. */
  get midFrame(): boolean {
    return this.#bufferedBytes > 0;
  }

  *read(bytes: Buffer): Generator<Frame> {
    this.#buffered.push(bytes);
    this.#bufferedBytes += bytes.length;
    // Joined only when it is worth it, so that one long frame costs no quadratic copying.
    while (this.#bufferedBytes >= this.#wanted) {
      const data = this.#buffered.length === 1 ? this.#buffered[0]! : Buffer.concat(this.#buffered);
      this.#buffered = [data];
      const found = parseFrame(data);
      if (typeof found === 'number') {
        this.#wanted = found;
        continue;
      }
      this.#buffered = [data.subarray(found.bytes)];
      this.#bufferedBytes -= found.bytes;
      this.#wanted = 2;
      yield found.frame;
    }
  }
}

/** Returns a frame, or how many bytes it takes to get on. */
function parseFrame(data: Buffer): { frame: Frame; bytes: number } | number {
  const [first, second] = [data[0]!, data[1]!];
  const masked = second >= 0x80;
  const short = second & 0x7f;
  const lengthEnd = short === 127 ? 10 : short === 126 ? 4 : 2;
  const headBytes = lengthEnd + (masked ? 4 : 0);
  if (data.length < headBytes) return headBytes;
  const length =
    short === 127 ? Number(data.readBigUInt64BE(2)) : short === 126 ? data.readUInt16BE(2) : short;
  if (data.length < headBytes + length) return headBytes + length;
  const raw = data.subarray(headBytes, headBytes + length);
  const payload = masked ? applyMask(Buffer.from(raw), data.subarray(lengthEnd, headBytes)) : raw;
  return {
    frame: { fin: first >= 0x80, opcode: first & 0x0f, masked, payload },
    bytes: headBytes + length,
  };
}
