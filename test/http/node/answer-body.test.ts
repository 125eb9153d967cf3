import { Readable } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { answerBody } from '../../../src/http/node/answer-body.ts';

function start() {
  const readable = new Readable({ read: () => undefined });
  const body = answerBody(readable, (cause) => cause);
  return { readable, reader: body.getReader() };
}

test('what comes at once in large pieces is given without being copied', async () => {
  const { readable, reader } = start();
  for (let round = 0; round < 3; round++) {
    const pieces = [Buffer.alloc(65_536, 'a'), Buffer.alloc(65_536, 'b')];
    const reading = reader.read();
    await nextTurn();
    for (const piece of pieces) readable.push(piece);
    expect((await reading).value?.buffer).toBe(pieces[0]?.buffer);
    expect((await reader.read()).value?.buffer).toBe(pieces[1]?.buffer);
  }
  readable.push(null);
  expect((await reader.read()).done).toBe(true);
});

test('what comes at once in many small pieces is given in few', async () => {
  const { readable, reader } = start();
  const text = Array.from({ length: 1000 }, (_, i) => `${i},`);
  let read = '';
  let reads = 0;
  const reading = (async () => {
    for (let { value } = await reader.read(); value !== undefined; { value } = await reader.read()) {
      read += Buffer.from(value).toString();
      reads++;
    }
  })();
  await nextTurn();
  for (const piece of text) readable.push(piece);
  readable.push(null);
  await reading;
  expect(read).toBe(text.join(''));
  expect(reads).toBeLessThan(10);
});

test('what nobody asks for is not read on', async () => {
  const { readable, reader } = start();
  await nextTurn();
  for (let i = 0; i < 10; i++) readable.push('x');
  await nextTurn();
  expect(readable.readableLength).toBe(10);
  await reader.read();
  for (let i = 0; i < 10; i++) readable.push('x');
  await nextTurn();
  expect(readable.readableLength).toBeGreaterThan(8);
  await reader.cancel();
  expect(readable.destroyed).toBe(true);
});
