import { expect, test } from 'vitest';
import { LivePaths } from '../../src/relay/live-paths.ts';
import { ResourcePath } from '../../src/wire/resource-path.ts';

const F = ResourcePath.parse('/f');

test('a path that is read live is looked at as long as somebody reads it', () => {
  const paths = new LivePaths();
  const [first, second] = [paths.add(F, '1.1 a'), paths.add(F, '1.1 a')];
  expect(paths.due(0).map(({ path }) => path.key)).toEqual(['f']);
  first();
  expect(paths.count).toBe(1);
  second();
  expect([paths.count, paths.due(0)]).toEqual([0, []]);
});

test('what brings nothing is looked at less and less often, until it does, or is changed by way of here', () => {
  const paths = new LivePaths();
  paths.add(F, '1.1 a');
  const [path] = paths.due(0);
  const isDueAfter = (ms: number) => paths.due(performance.now() + ms).length === 1;
  const waits = Array.from({ length: 6 }, () => {
    path?.looked(false);
    return [1000, 3000, 5000, 9000, 17_000, 31_000].find(isDueAfter);
  });
  expect(waits).toEqual([1000, 3000, 5000, 9000, 17_000, 31_000]);
  path?.looked(true);
  expect(isDueAfter(0)).toBe(true);
  path?.looked(false);
  expect([isDueAfter(0), isDueAfter(1000)]).toEqual([false, true]);
  paths.changed(F);
  expect(isDueAfter(0)).toBe(true);
});
