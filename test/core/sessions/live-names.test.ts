import { expect, it } from 'vitest';
import { LiveNames } from '../../../src/core/sessions/live-names.ts';
import { ResourcePath } from '../../../src/wire/resource-path.ts';

const named = (name: string) => ({ path: ResourcePath.parse(name) });

it('tells what is appended to in a directory, and in no other, until the last one under a name has ended', () => {
  const names = new LiveNames();
  const [top, f, again, below] = [named('/top'), named('/d/f'), named('/d/f'), named('/d/e/f')];
  for (const one of [top, f, again, below]) names.add(one);
  const inDirectories = () =>
    ['/', '/d/', '/d/e', '/d/f'].map((name) => [...new Set(names.in(ResourcePath.parse(name)))]);
  expect(inDirectories()).toEqual([['top'], ['f'], ['f'], []]);
  names.delete(f);
  names.delete(f);
  expect(inDirectories()).toEqual([['top'], ['f'], ['f'], []]);
  names.delete(again);
  names.delete(top);
  expect(inDirectories()).toEqual([[], [], ['f'], []]);
});
