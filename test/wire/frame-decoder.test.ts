import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FramingError } from '../../src/wire/errors.ts';
import { FrameDecoder } from '../../src/wire/frame-decoder.ts';
import { frame, Op } from '../support/original/frames.ts';
import { pattern } from '../support/pattern.ts';

interface Event {
  control?: number;
  payload: string;
}

/** Decodes chunks; payload that came in several pieces is one event. */
function decode(
  chunks: readonly Buffer[],
  { masked = true, maxMessageBytes = 1e9 } = {},
): { events: Event[]; decoder: FrameDecoder } {
  const events: Event[] = [];
  const decoder = new FrameDecoder({
    masked,
    maxMessageBytes,
    onPayload: (bytes) => {
      expect(bytes.length).toBeGreaterThan(0);
      const payload = bytes.toString('hex');
      const last = events.at(-1);
      if (last && last.control === undefined) last.payload += payload;
      else events.push({ payload });
    },
    onControl: (control, bytes, whole) => {
      const [first = 0, second = 0] = whole;
      expect(first).toBe(0x80 | control);
      expect(second & 0x7f).toBe(bytes.length);
      expect(whole.length).toBe(2 + (masked ? 4 : 0) + bytes.length);
      events.push({ control, payload: bytes.toString('hex') });
    },
  });
  for (const chunk of chunks) decoder.decode(Buffer.from(chunk));
  return { events, decoder };
}

/** Cuts bytes at places that are given as fractions of their length. */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const at = [0, ...places.map((place) => Math.floor(place * bytes.length)), bytes.length].sort(
    (a, b) => a - b,
  );
  return at.slice(1).map((end, i) => bytes.subarray(at[i], end));
}

function framingError(chunks: readonly Buffer[], options = {}): FramingError {
  try {
    decode(chunks, options);
  } catch (error) {
    expect(error).toBeInstanceOf(FramingError);
    return error as FramingError;
  }
  throw new Error('nothing was refused');
}

const payloadLength = fc.oneof(
  { weight: 12, arbitrary: fc.integer({ min: 0, max: 130 }) },
  { weight: 6, arbitrary: fc.integer({ min: 900, max: 1200 }) },
  { weight: 1, arbitrary: fc.constantFrom(65_535, 65_536, 70_001) },
);
const payload = fc.tuple(payloadLength, fc.nat(255)).map(([length, start]) => pattern(start, length));
const control = fc.record({
  opcode: fc.constantFrom(Op.ping, Op.pong, Op.close),
  payload: fc.uint8Array({ maxLength: 125 }).map((bytes) => Buffer.from(bytes)),
});
const message = fc.record({
  opcode: fc.constantFrom(Op.text, Op.binary),
  fragments: fc.array(fc.record({ payload, controls: fc.array(control, { maxLength: 2 }) }), {
    minLength: 1,
    maxLength: 5,
  }),
});

describe('FrameDecoder', () => {
  test('finds the exact payload, however messages are fragmented, interrupted by control frames and cut into chunks', () => {
    fc.assert(
      fc.property(
        fc.array(message, { maxLength: 8 }),
        fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 12 }),
        fc.boolean(),
        (messages, places, masked) => {
          const frames: Buffer[] = [];
          const expected: Event[] = [];
          for (const { opcode, fragments } of messages) {
            for (const [i, fragment] of fragments.entries()) {
              const fin = i === fragments.length - 1;
              frames.push(frame(i === 0 ? opcode : Op.continuation, fragment.payload, { fin, masked }));
              const hex = fragment.payload.toString('hex');
              const last = expected.at(-1);
              if (hex !== '' && last && last.control === undefined) last.payload += hex;
              else if (hex !== '') expected.push({ payload: hex });
              for (const each of fragment.controls) {
                frames.push(frame(each.opcode, each.payload, { masked }));
                expected.push({ control: each.opcode, payload: each.payload.toString('hex') });
              }
            }
          }
          const { events, decoder } = decode(cut(Buffer.concat(frames), places), { masked });
          expect(events).toEqual(expected);
          expect(decoder.betweenMessages).toBe(true);
        },
      ),
      { numRuns: 150 },
    );
  });

  test('takes the same bytes one at a time', () => {
    const bytes = Buffer.concat([
      frame(Op.text, 'one', { masked: true, fin: false }),
      frame(Op.ping, 'ping', { masked: true }),
      frame(Op.continuation, 'two'.repeat(100), { masked: true }),
      frame(Op.binary, Buffer.alloc(1500, 7), { masked: true }),
      frame(Op.close, '', { masked: true }),
    ]);
    const single = [...bytes].map((byte) => Buffer.of(byte));
    expect(decode(single).events).toEqual(decode([bytes]).events);
    expect(decode(single).events).toHaveLength(4);
  });

  test('hands short messages on as one, long ones by themselves, and tells which it is', () => {
    const lengths = [10, 1023, 1023, 1024, 5, 70_000, 20, 30];
    const frames = lengths.map((length) => frame(Op.binary, Buffer.alloc(length), { masked: true }));
    const handed: [bytes: number, isMerged: boolean][] = [];
    const decoder = new FrameDecoder({
      masked: true,
      maxMessageBytes: 1e9,
      onPayload: (bytes, isMerged) => handed.push([bytes.length, isMerged]),
      onControl: () => undefined,
    });
    decoder.decode(Buffer.concat(frames));
    expect(handed).toEqual([
      [2056, true],
      [1024, false],
      [5, false],
      [70_000, false],
      [50, true],
    ]);
  });

  test('hands a long message on as it comes, before its end', () => {
    const bytes = frame(Op.text, Buffer.alloc(100_000, 'x'), { masked: true });
    const { events, decoder } = decode([bytes.subarray(0, 50_000)]);
    expect(events[0]?.payload.length).toBe(2 * (50_000 - 14));
    expect(decoder.betweenMessages).toBe(false);
  });

  test('knows at every byte whether a message is torn there', () => {
    const first = frame(Op.text, 'one', { masked: true, fin: false });
    const last = frame(Op.continuation, 'two', { masked: true });
    const bytes = Buffer.concat([first, last]);
    for (let length = 0; length <= bytes.length; length++) {
      const { decoder } = decode([bytes.subarray(0, length)]);
      expect(decoder.betweenMessages).toBe(length === 0 || length === bytes.length);
    }
  });

  test('an empty message is nothing, and a message of empty fragments with control frames between is fine', () => {
    const bytes = Buffer.concat([
      frame(Op.text, '', { masked: true }),
      frame(Op.text, '', { masked: true, fin: false }),
      frame(Op.pong, '', { masked: true }),
      frame(Op.continuation, '', { masked: true, fin: false }),
      frame(Op.continuation, 'x', { masked: true }),
    ]);
    expect(decode([bytes]).events).toEqual([{ control: Op.pong, payload: '' }, { payload: '78' }]);
  });

  const m = { masked: true };
  const violations: [string, Buffer[]][] = [
    ...[1, 2, 4].map((reserved): [string, Buffer[]] => [
      `reserved bit ${reserved}`,
      [frame(Op.text, 'x', { ...m, reserved })],
    ]),
    ...[3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map((opcode): [string, Buffer[]] => [
      `opcode ${opcode}`,
      [frame(opcode, '', m)],
    ]),
    ['a frame without a mask', [frame(Op.text, 'x')]],
    ['a control frame without a mask', [frame(Op.ping, 'x')]],
    ['a fragmented control frame', [frame(Op.ping, 'x', { ...m, fin: false })]],
    ['a control frame of 126 bytes', [frame(Op.ping, Buffer.alloc(126), m)]],
    ['a continuation of nothing', [frame(Op.continuation, 'x', m)]],
    ['a continuation after the end', [frame(Op.text, 'x', m), frame(Op.continuation, 'x', m)]],
    ['a message within a message', [frame(Op.text, 'x', { ...m, fin: false }), frame(Op.binary, 'x', m)]],
  ];

  test.each(violations)('refuses %s with 1002, in one chunk or byte by byte', (_, chunks) => {
    expect(framingError(chunks).closeCode).toBe(1002);
    expect(framingError([Buffer.concat(chunks)]).closeCode).toBe(1002);
    expect(framingError([...Buffer.concat(chunks)].map((byte) => Buffer.of(byte))).closeCode).toBe(1002);
  });

  test('refuses a masked frame of a server with 1002', () => {
    expect(framingError([frame(Op.text, 'x', m)], { masked: false }).closeCode).toBe(1002);
  });

  test('hands on what came before a violation in the same chunk', () => {
    const payloads: Buffer[] = [];
    const decoder = new FrameDecoder({
      masked: true,
      maxMessageBytes: 100,
      onPayload: (bytes) => payloads.push(Buffer.from(bytes)),
      onControl: () => undefined,
    });
    const chunk = Buffer.concat([frame(Op.text, 'good', m), frame(Op.text, 'bad')]);
    expect(() => decoder.decode(chunk)).toThrow(FramingError);
    expect(String(Buffer.concat(payloads))).toBe('good');
  });

  test('takes a message of the limit and refuses one byte more with 1009, over all fragments', () => {
    const limited = { maxMessageBytes: 1000 };
    const part = (bytes: number, opcode: number, fin: boolean) =>
      frame(opcode, Buffer.alloc(bytes), { ...m, fin });
    const exact = [part(400, Op.text, false), part(600, Op.continuation, true)];
    decode([...exact, ...exact], limited);
    decode([part(1000, Op.binary, true), part(1000, Op.binary, true)], limited);
    expect(framingError([part(1001, Op.binary, true)], limited).closeCode).toBe(1009);
    const over = [
      part(400, Op.text, false),
      part(600, Op.continuation, false),
      part(1, Op.continuation, true),
    ];
    expect(framingError(over, limited).closeCode).toBe(1009);
  });

  test('refuses a frame that says it is too long before its payload comes', () => {
    const head = Buffer.of(0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4);
    expect(framingError([head]).closeCode).toBe(1009);
  });

  test('refuses a length with the highest bit set, even without a limit', () => {
    const head = Buffer.of(0x82, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4);
    expect([1002, 1009]).toContain(
      framingError([head], { maxMessageBytes: Number.MAX_SAFE_INTEGER }).closeCode,
    );
  });
});
