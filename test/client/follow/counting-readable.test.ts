import { once } from 'node:events';
import { describe, expect, test } from 'vitest';
import { CountingReadable } from '../../../src/client/follow/counting-readable.ts';

class Counted extends CountingReadable {
  override _read(): void {}

  get count(): number {
    return this.readBytes;
  }
}

const BYTES = Buffer.from('äö👋x'.repeat(50));

/** Has the bytes, in pieces that cut characters. */
function filled(encoding: BufferEncoding | undefined): Counted {
  const readable = new Counted();
  if (encoding !== undefined) readable.setEncoding(encoding);
  for (let at = 0; at < BYTES.length; at += 5) readable.push(BYTES.subarray(at, at + 5));
  readable.push(null);
  return readable;
}

describe.each([undefined, 'utf8', 'utf16le', 'latin1', 'hex', 'base64'] as const)(
  'read as %s',
  (encoding) => {
    test('it has been read of as far as its data events tell', async () => {
      const readable = filled(encoding);
      let bytes = 0;
      readable.on('data', (chunk) => {
        bytes += Buffer.byteLength(chunk, encoding);
        expect(readable.count).toBe(bytes);
      });
      await once(readable, 'end');
      expect(readable.count).toBe(BYTES.length);
    });

    test('it has been read of as far as it was read, little by little', () => {
      const readable = filled(encoding);
      readable.read(0);
      expect(readable.count).toBe(0);
      let bytes = 0;
      for (let chunk = readable.read(8); chunk !== null; chunk = readable.read(8)) {
        bytes += Buffer.byteLength(chunk, encoding);
        expect(readable.count).toBe(bytes);
      }
      expect(bytes).toBeGreaterThan(BYTES.length - 16);
    });

    test('it has been read of wholly when it was iterated over', async () => {
      const readable = filled(encoding);
      for await (const _ of readable) expect(readable.count).toBeGreaterThan(0);
      expect(readable.count).toBe(BYTES.length);
    });

    test('what is put back has not been read', () => {
      const readable = filled(encoding);
      const first = readable.read(8);
      const before = readable.count;
      readable.unshift(first, encoding);
      expect(readable.count).toBe(0);
      expect(readable.read(8)).toEqual(first);
      expect(readable.count).toBe(before);
    });
  },
);
