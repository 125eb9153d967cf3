import { expect, test } from 'vitest';
import { formatBytes } from '../../src/cli/progress.ts';

test.each([
  [0, '0 B'],
  [1, '1 B'],
  [999, '999 B'],
  [1000, '1.0 kB'],
  [1049, '1.0 kB'],
  [999_949, '999.9 kB'],
  [999_950, '1.0 MB'],
  [182_000_000, '182.0 MB'],
  [999_999_999, '1.0 GB'],
  [5e12, '5.0 TB'],
  [Number.MAX_SAFE_INTEGER, '9.0 PB'],
  [1e19, '10000.0 PB'],
])('%d bytes are %s', (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text);
});
