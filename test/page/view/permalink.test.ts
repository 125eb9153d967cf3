import { expect, it } from 'vitest';
import { hashOfLines, linesOfHash } from '../../../src/page/view/permalink.ts';

it.each([
  ['#L1', [0, 0]],
  ['#L120', [119, 119]],
  ['#L120-L140', [119, 139]],
  ['#L120-140', [119, 139]],
  ['#L140-L120', [119, 139]],
] as const)('%s links lines', (hash, lines) => {
  expect(linesOfHash(hash)).toEqual(lines);
});

it.each(['', '#', '#L0', '#L-1', '#L1-', '#l1', '#L1e3', '#L1-L2-L3', '#L9999999999999999'])(
  '%j links no lines',
  (hash) => {
    expect(linesOfHash(hash)).toBeUndefined();
  },
);

it('a link to lines leads back to them', () => {
  expect(hashOfLines([119, 139])).toBe('#L120-L140');
  expect(hashOfLines([0, 0])).toBe('#L1');
});
