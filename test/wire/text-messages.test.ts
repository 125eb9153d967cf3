import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FramingError } from '../../src/wire/errors.ts';
import { FrameDecoder } from '../../src/wire/frame-decoder.ts';
import { MAX_CONTROL_BYTES } from '../../src/wire/protocol.ts';
import { anyCharacter } from '../support/any-character.ts';
import { frame, Op } from '../support/original/frames.ts';

type Event = ['bytes' | 'text' | 'control', string];

/** Decodes chunks with text messages told apart; bytes in a row are one event. */
function decode(chunks: readonly Buffer[], { masked = true, onText }: Partial<Options> = {}): Event[] {
  const events: Event[] = [];
  const decoder = new FrameDecoder({
    masked,
    maxMessageBytes: 1e9,
    onPayload: (bytes) => {
      const last = events.at(-1);
      if (last?.[0] === 'bytes') last[1] += bytes.toString('hex');
      else events.push(['bytes', bytes.toString('hex')]);
    },
    onText: onText ?? ((text) => events.push(['text', text])),
    onControl: (_opcode, bytes) => events.push(['control', bytes.toString('hex')]),
  });
  for (const chunk of chunks) decoder.decode(Buffer.from(chunk));
  return events;
}

interface Options {
  masked: boolean;
  onText: (text: string) => void;
}

/** Cuts bytes at places that are given as fractions of their length. */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const at = [0, ...places.map((place) => Math.floor(place * bytes.length)), bytes.length].sort(
    (a, b) => a - b,
  );
  return at.slice(1).map((end, i) => bytes.subarray(at[i], end));
}

const content = fc.oneof(
  { weight: 4, arbitrary: fc.string({ maxLength: 40, unit: anyCharacter }) },
  { weight: 1, arbitrary: fc.nat(1200).map((length) => 'é'.repeat(length)) },
);
const message = fc.record({
  isText: fc.boolean(),
  content,
  places: fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 3 }),
  ping: fc.option(fc.string({ maxLength: 20 }), { nil: undefined }),
});

describe('text messages that are told apart', () => {
  test('come whole and in their place between the bytes, however they are fragmented, interrupted and cut', () => {
    fc.assert(
      fc.property(
        fc.array(message, { maxLength: 10 }),
        fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 12 }),
        fc.boolean(),
        (messages, places, masked) => {
          const frames: Buffer[] = [];
          const expected: Event[] = [];
          const expectBytes = (hex: string) => {
            const last = expected.at(-1);
            if (hex === '') return;
            if (last?.[0] === 'bytes') last[1] += hex;
            else expected.push(['bytes', hex]);
          };
          for (const { isText, content, places: cuts, ping } of messages) {
            const fragments = cut(Buffer.from(content), cuts);
            for (const [i, fragment] of fragments.entries()) {
              const opcode = i > 0 ? Op.continuation : isText ? Op.text : Op.binary;
              frames.push(frame(opcode, fragment, { fin: i === fragments.length - 1, masked }));
              if (!isText) expectBytes(fragment.toString('hex'));
              if (i === 0 && ping !== undefined) {
                frames.push(frame(Op.ping, ping, { masked }));
                // A text message that has only begun comes after what interrupts it.
                if (isText && fragments.length === 1) expected.push(['text', content]);
                expected.push(['control', Buffer.from(ping).toString('hex')]);
              }
            }
            const isTold = ping !== undefined && fragments.length === 1;
            if (isText && !isTold) expected.push(['text', content]);
          }
          expect(decode(cut(Buffer.concat(frames), places), { masked })).toEqual(expected);
        },
      ),
      { numRuns: 200 },
    );
  });

  test('may be empty', () => {
    expect(decode([frame(Op.text, '', { masked: true })])).toEqual([['text', '']]);
  });

  test.each([
    ['in one frame', [frame(Op.text, 'x'.repeat(MAX_CONTROL_BYTES + 1), { masked: true })]],
    [
      'in fragments',
      [
        frame(Op.text, 'x'.repeat(MAX_CONTROL_BYTES), { masked: true, fin: false }),
        frame(Op.continuation, 'x', { masked: true, fin: false }),
      ],
    ],
    ['that are only announced', [Buffer.from('81ff0000ffffffffffff00000000', 'hex')]],
  ])('are refused with 1009 when they are too long %s', (_how, chunks) => {
    expect(() => decode(chunks)).toThrow(expect.objectContaining({ closeCode: 1009 }));
  });

  test('of the greatest length come through, and bytes may be longer', () => {
    const long = Buffer.alloc(MAX_CONTROL_BYTES + 1, 'x');
    const events = decode([
      frame(Op.text, 'x'.repeat(MAX_CONTROL_BYTES), { masked: true }),
      frame(Op.binary, long, { masked: true }),
    ]);
    expect(events).toEqual([
      ['text', 'x'.repeat(MAX_CONTROL_BYTES)],
      ['bytes', long.toString('hex')],
    ]);
  });

  test('that are refused let the bytes before them through', () => {
    const bytes: string[] = [];
    const decoder = new FrameDecoder({
      masked: true,
      maxMessageBytes: 1e9,
      onPayload: (payload) => bytes.push(String(payload)),
      onText: () => {
        throw new FramingError('no text', 1003);
      },
      onControl: () => undefined,
    });
    const frames = [
      frame(Op.binary, 'before', { masked: true }),
      frame(Op.text, 'text', { masked: true }),
      frame(Op.binary, 'after', { masked: true }),
    ];
    expect(() => decoder.decode(Buffer.concat(frames))).toThrow(expect.objectContaining({ closeCode: 1003 }));
    expect(bytes).toEqual(['before']);
  });
});
