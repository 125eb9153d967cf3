import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatOffset, hexColumn, hexRow, parseOffset } from '../../../../src/page/kinds/hex/hex-rows.ts';

test('a row is what hexdump -C prints', () => {
  const bytes = Buffer.from('Hello, \u00e4\0 <b>~\x7f');
  expect(hexRow(bytes, 0x120, 0x200, 16)).toEqual({
    start: 0x120,
    offset: '00000120',
    hex: '48 65 6c 6c 6f 2c 20 c3  a4 00 20 3c 62 3e 7e 7f',
    text: 'Hello, ... <b>~.',
  });
});

test('a row that ends early is as wide as a full one, so that what stands beside it stays in line', () => {
  for (const bytesPerRow of [8, 16]) {
    const full = hexRow(new Uint8Array(bytesPerRow), 0, 16, bytesPerRow);
    for (let length = 0; length < bytesPerRow; length++) {
      expect(hexRow(new Uint8Array(length), 0, 16, bytesPerRow).hex).toHaveLength(full.hex.length);
    }
  }
});

test('each byte is in the row as it is', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 16 }), (bytes) => {
      const { hex, text } = hexRow(bytes, 0, 16, 16);
      for (const [index, byte] of bytes.entries()) {
        const column = hexColumn(index);
        expect(Number.parseInt(hex.slice(column, column + 2), 16)).toBe(byte);
      }
      expect(Buffer.from(hex.replaceAll(' ', ''), 'hex')).toEqual(Buffer.from(bytes));
      expect(text).toMatch(/^[ -~]+$/);
      expect(text).toHaveLength(bytes.length);
    }),
  );
});

test('offsets have as many digits as the last one needs', () => {
  const sizes = [0, 1, 2 ** 32, 2 ** 32 + 1, 5 * 2 ** 40];
  expect(sizes.map((size) => formatOffset(0, size).length)).toEqual([8, 8, 8, 9, 11]);
});

test('an offset is typed in decimal, in hexadecimal, or from the end', () => {
  const parsed = ['0', '1,000', '0x1F', ' 0xff_ff ', '-1', '-0x10'].map((text) => parseOffset(text, 100_000));
  expect(parsed).toEqual([0, 1000, 31, 65_535, 99_999, 99_984]);
});

test('what is no offset of the resource is none', () => {
  for (const text of ['', '-', 'x', '1f', '0x', '1.5', '1e3', '100', '-101', '-0', '99999999999999999999']) {
    expect(parseOffset(text, 100), text).toBeUndefined();
  }
});
