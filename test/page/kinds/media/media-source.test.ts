import { expect, test } from 'vitest';
import { mediaSource } from '../../../../src/page/kinds/media/media-source.ts';
import { MAX_COPY_BYTES } from '../../../../src/page/token/copy-limit.ts';

test('an element loads by itself what everybody may read: as it comes, or in any order', () => {
  expect(mediaSource({ hasToken: false, isLive: true, size: 2 ** 40 })).toBe('live');
  expect(mediaSource({ hasToken: false, isLive: false, size: 2 ** 40 })).toBe('ranges');
});

test('what needs a token is copied once it is whole, unless it is too large', () => {
  expect(mediaSource({ hasToken: true, isLive: true, size: 10 })).toBe('wait');
  expect(mediaSource({ hasToken: true, isLive: false, size: MAX_COPY_BYTES })).toBe('copy');
  expect(mediaSource({ hasToken: true, isLive: false, size: MAX_COPY_BYTES + 1 })).toBe('none');
});
