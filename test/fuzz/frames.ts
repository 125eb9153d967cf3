import type { Random } from '../support/random.ts';
import { plainContent } from './bodies.ts';

const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

/** What a WebSocket client sends after its handshake: messages as they should be, and frames that break rules. */
export function clientFrames(random: Random): Buffer {
  const frames = Array.from({ length: random.integer(0, 8) }, () => anyFrames(random));
  if (random.chance(0.5)) frames.push(closeFrame(random));
  return Buffer.concat(frames);
}

function anyFrames(random: Random): Buffer {
  const content = () => plainContent(random);
  switch (
    random.pickWeighted({
      message: 10,
      fragments: 3,
      ping: 2,
      close: 1,
      opcode: 1,
      reserved: 1,
      unmasked: 1,
      length: 1,
    })
  ) {
    case 'message':
      return frame(random, { opcode: random.chance(0.8) ? OPCODE.binary : OPCODE.text, payload: content() });
    case 'fragments': {
      const pieces = Array.from({ length: random.integer(2, 5) }, content);
      return Buffer.concat(
        pieces.flatMap((payload, i) => [
          frame(random, {
            opcode: i === 0 ? OPCODE.binary : OPCODE.continuation,
            payload,
            isLast: i === pieces.length - 1,
          }),
          ...(random.chance(0.2)
            ? [frame(random, { opcode: OPCODE.ping, payload: Buffer.from('between') })]
            : []),
        ]),
      );
    }
    case 'ping':
      return frame(random, {
        opcode: random.pick([OPCODE.ping, OPCODE.pong]),
        payload: Buffer.alloc(random.pick([0, 4, 125, 126, 1000]), 'p'),
        isLast: random.chance(0.9),
      });
    case 'close':
      return closeFrame(random);
    case 'opcode':
      return frame(random, { opcode: random.integer(0, 15), payload: content() });
    case 'reserved':
      return frame(random, { opcode: OPCODE.binary, payload: content(), reservedBits: random.integer(1, 7) });
    case 'unmasked':
      return frame(random, { opcode: OPCODE.binary, payload: content(), isMasked: false });
    case 'length':
      return frame(random, {
        opcode: random.pick([OPCODE.binary, OPCODE.text, OPCODE.ping]),
        payload: content(),
        length: random.pick([
          0n,
          1n,
          125n,
          126n,
          65_535n,
          65_536n,
          104_857_601n,
          2n ** 32n,
          2n ** 53n,
          2n ** 63n,
          2n ** 64n - 1n,
        ]),
      });
  }
}

function closeFrame(random: Random): Buffer {
  const code = Buffer.alloc(2);
  code.writeUInt16BE(random.pick([1000, 1000, 1000, 1001, 1002, 1005, 1006, 1011, 999, 0, 4999, 65_535]));
  const payload = random.pick([
    code,
    code,
    Buffer.concat([code, Buffer.from('a reason')]),
    Buffer.concat([code, Buffer.from([0xff, 0xfe])]),
    Buffer.concat([code, Buffer.alloc(200, 'r')]),
    code.subarray(1),
    Buffer.alloc(0),
  ]);
  return frame(random, { opcode: OPCODE.close, payload });
}

interface Frame {
  opcode: number;
  payload: Buffer;
  isLast?: boolean;
  isMasked?: boolean;
  reservedBits?: number;
  /** What the header says, if not what the payload has. */
  length?: bigint;
}

function frame(
  random: Random,
  { opcode, payload, isLast = true, isMasked = true, reservedBits = 0, length }: Frame,
): Buffer {
  const first = (isLast ? 0x80 : 0) | (reservedBits << 4) | opcode;
  const masked = isMasked ? 0x80 : 0;
  const size = length ?? BigInt(payload.length);
  // Now and then in more bytes than it takes, which is not allowed.
  const isLong = random.chance(0.02);
  let header: Buffer;
  if (size < 126n && !isLong) {
    header = Buffer.from([first, masked | Number(size)]);
  } else if (size < 65_536n && !(isLong && random.chance(0.5))) {
    header = Buffer.from([first, masked | 126, 0, 0]);
    header.writeUInt16BE(Number(size), 2);
  } else {
    header = Buffer.from([first, masked | 127, 0, 0, 0, 0, 0, 0, 0, 0]);
    header.writeBigUInt64BE(size, 2);
  }
  if (!isMasked) return Buffer.concat([header, payload]);
  const key = Buffer.from(Array.from({ length: 4 }, () => random.integer(0, 255)));
  return Buffer.concat([header, key, payload.map((byte, i) => byte ^ (key[i % 4] as number))]);
}
