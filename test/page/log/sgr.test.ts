import { expect, it } from 'vitest';
import { selectGraphicRendition } from '../../../src/page/log/sgr.ts';
import { PLAIN } from '../../../src/page/log/style.ts';
import { collectGarbage } from '../../support/collect-garbage.ts';

const MiB = 1024 * 1024;

it('takes no more memory with more colours, however they follow one another', () => {
  let style = PLAIN;
  let random = 1;
  const usedAfter = (sequences: number) => {
    for (let i = 0; i < sequences; i++) {
      random = (Math.imul(random, 1_664_525) + 1_013_904_223) >>> 0;
      style = selectGraphicRendition(style, `${i % 2 === 0 ? 38 : 48};5;${random >>> 24}`);
    }
    collectGarbage();
    return process.memoryUsage().heapUsed;
  };
  const before = usedAfter(15_000);
  expect(usedAfter(50_000) - before).toBeLessThan(8 * MiB);
  expect(style).toMatchObject({ fg: expect.any(Number), bg: expect.any(Number) });
});

it('takes one object for all styles that look the same', () => {
  const red = selectGraphicRendition(PLAIN, '31');
  expect(selectGraphicRendition(selectGraphicRendition(PLAIN, '32'), '31')).toBe(red);
  expect(selectGraphicRendition(red, '39')).toBe(PLAIN);
});
