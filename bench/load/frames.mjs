const MASK = Buffer.of(0x37, 0xfa, 0x21, 0x3d);
const FIN = 0x80;
const MASKED = 0x80;

/** The close frame of a client that has finished: code 1000. */
export const CLOSE_FRAME = Buffer.of(FIN | 8, MASKED | 2, 0, 0, 0, 0, 0x03, 0xe8);

/** One masked message, as a client sends it: a line of ASCII, so that it can be text as well as binary. */
export function maskedFrame(opcode, payloadBytes) {
  const header = clientHeader(opcode, payloadBytes);
  const frame = Buffer.alloc(header.length + payloadBytes);
  header.copy(frame);
  for (let i = 0; i < payloadBytes; i++) {
    const plain = i === payloadBytes - 1 ? 0x0a : 0x61 + (i % 23);
    frame[header.length + i] = plain ^ MASK[i % 4];
  }
  return frame;
}

function clientHeader(opcode, payloadBytes) {
  const first = FIN | opcode;
  if (payloadBytes < 126) return Buffer.concat([Buffer.of(first, MASKED | payloadBytes), MASK]);
  if (payloadBytes < 65_536) {
    return Buffer.concat([Buffer.of(first, MASKED | 126, payloadBytes >> 8, payloadBytes & 0xff), MASK]);
  }
  const length = Buffer.alloc(8);
  length.writeBigUInt64BE(BigInt(payloadBytes));
  return Buffer.concat([Buffer.of(first, MASKED | 127), length, MASK]);
}

/** Counts the payload of a server's messages, however the connection cuts them. */
export class PayloadCounter {
  /** Payload bytes of text and binary messages so far. */
  payloadBytes = 0;
  #frameRemaining = 0;
  #isControl = false;
  #header = Buffer.alloc(10);
  #headerFilled = 0;

  /** Takes the first `length` bytes of `chunk`. */
  push(chunk, length) {
    let at = 0;
    while (at < length) {
      if (this.#frameRemaining > 0) {
        const taken = Math.min(this.#frameRemaining, length - at);
        if (!this.#isControl) this.payloadBytes += taken;
        this.#frameRemaining -= taken;
        at += taken;
      } else {
        this.#header[this.#headerFilled++] = chunk[at++];
        if (this.#headerFilled >= 2) this.#takeHeader();
      }
    }
  }

  #takeHeader() {
    const header = this.#header;
    let length = header[1] & 0x7f;
    if (this.#headerFilled < (length < 126 ? 2 : length === 126 ? 4 : 10)) return;
    if (length === 126) length = header.readUInt16BE(2);
    else if (length === 127) length = Number(header.readBigUInt64BE(2));
    this.#isControl = (header[0] & 0x08) !== 0;
    this.#frameRemaining = length;
    this.#headerFilled = 0;
  }
}
