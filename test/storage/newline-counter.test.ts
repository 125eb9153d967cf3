import { readFile } from 'node:fs/promises';
import path from 'node:path';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { NewlineCounter } from '../../src/storage/newline-counter.ts';
import { assemble } from '../support/wat.ts';

const SOURCE = path.join(import.meta.dirname, '../../src/storage');

it('is assembled from the text beside it', async () => {
  const text = await readFile(path.join(SOURCE, 'newline-counter.wat'), 'utf8');
  const module = await readFile(path.join(SOURCE, 'newline-counter.ts'), 'utf8');
  expect(/'(?<bytes>AGFzbQ[^']*)'/.exec(module)?.groups?.bytes).toBe(assemble(text).toString('base64'));
});

it('counts as many line feeds as there are, wherever a part begins and ends', () => {
  const counter = new NewlineCounter();
  const bytes = fc.uint8Array({ maxLength: 200 }).map((values) => values.map((value) => 9 + (value % 3)));
  fc.assert(
    fc.property(bytes, fc.nat(50), fc.nat(1), fc.nat(20), (part, start, which, rest) => {
      const block = counter.blocks[which] as Buffer;
      block.fill(0x0a, 0, start + part.length + rest);
      block.set(part, start);
      const expected = part.filter((byte) => byte === 0x0a).length;
      expect(counter.count(block, start, start + part.length)).toBe(expected);
    }),
  );
});

it('counts a block to its last byte', () => {
  const counter = new NewlineCounter();
  for (const block of counter.blocks) {
    block.fill('\n');
    expect(counter.count(block, 0, block.length)).toBe(block.length);
  }
});
