import { describe, expect, test } from 'vitest';
import { ControlReader } from '../../../src/client/session/control-message.ts';
import { FramingError } from '../../../src/wire/errors.ts';

const END = '{"type":"end","position":3,"reason":"finished"}';

describe('a message of the server', () => {
  test.each([
    { type: 'open', generation: 7, position: 0, live: true },
    { type: 'ack', position: 2 ** 53 - 1 },
    { type: 'waiting' },
    { type: 'live' },
    { type: 'end', position: 3, reason: 'finished', status: 0 },
    { type: 'end', position: 3, reason: 'deleted', next: 8, gap: true },
    { type: 'end', position: 3, reason: 'truncated', lost: 5, detail: 'cut' },
    { type: 'of a later version', whatever: [1] },
    {},
  ])('%j is read', (message) => {
    expect(new ControlReader().read(JSON.stringify(message))).toEqual(message);
  });

  test.each([
    '',
    '{',
    'null',
    '17',
    '"open"',
    '{"type":"open","position":0}',
    '{"type":"open","generation":-1,"position":0}',
    '{"type":"open","generation":1,"position":0.5}',
    '{"type":"ack"}',
    '{"type":"ack","position":"3"}',
    '{"type":"ack","position":1e16}',
    '{"type":"end","reason":"finished"}',
  ])('%s violates the protocol', (text) => {
    expect(() => new ControlReader().read(text)).toThrow(FramingError);
  });

  test('loses the facts of an end that make no sense, and stays an end', () => {
    const facts = { detail: 17, status: 256, next: -1, gap: 'yes', lost: '5' };
    const message = { type: 'end', position: 3, reason: 'finished', ...facts };
    expect(new ControlReader().read(JSON.stringify(message))).toEqual(JSON.parse(END));
  });
});

describe('after the end', () => {
  test.each([END, '{"type":"ack","position":3}', '{"type":"live"}'])('%s violates the protocol', (text) => {
    const reader = new ControlReader();
    reader.assertNotEnded();
    reader.read(END);
    expect(() => reader.read(text)).toThrow(FramingError);
    expect(() => reader.assertNotEnded()).toThrow(FramingError);
  });

  test('messages of later versions may come', () => {
    const reader = new ControlReader();
    reader.read(END);
    expect(reader.read('{"type":"goodbye"}')).toEqual({ type: 'goodbye' });
  });
});
