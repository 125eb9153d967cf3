import { expect, it } from 'vitest';
import { contentTypeOfName } from '../../../src/server/response/content-type.ts';

it.each([
  ['a.txt', 'text/plain; charset=utf-8'],
  ['a.LOG', 'text/plain; charset=utf-8'],
  ['b/a.tar.gz', 'application/gzip'],
  ['a.json', 'application/json; charset=utf-8'],
  ['.profile', undefined],
  ['a.', undefined],
  ['a.constructor', undefined],
  ['log.2026-11-28', undefined],
  ['a', undefined],
])('the name %s says %s, also when it is asked for again', (name, type) => {
  expect([contentTypeOfName(name), contentTypeOfName(name)]).toEqual([type, type]);
});
