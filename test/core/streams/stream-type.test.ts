import { expect, it } from 'vitest';
import { isEqualType, isJsonType, isSameType, mediaTypeOf } from '../../../src/core/streams/stream-type.ts';

it('a media type is a content type without parameters, in small letters', () => {
  expect(mediaTypeOf(' Text/PLAIN ; charset=utf-8; x=";"')).toBe('text/plain');
});

it('of two content types the same bytes may be appended when their media types are the same', () => {
  expect(isSameType('text/plain', 'Text/Plain;charset=utf-8')).toBe(true);
  expect(isSameType('text/plain', 'text/html')).toBe(false);
  expect(isSameType('text/plain', undefined)).toBe(false);
});

it('two content types are equal only with all parameters', () => {
  expect(isEqualType('Text/Plain; Charset=UTF-8 ', 'text/plain; charset=utf-8')).toBe(true);
  expect(isEqualType('text/plain', 'text/plain; charset=utf-8')).toBe(false);
});

it.each([
  ['application/json', true],
  ['Application/JSON; charset=utf-8', true],
  ['application/jsonl', false],
  ['application/problem+json', false],
  [undefined, false],
])('%s is JSON: %s', (type, isJson) => {
  expect(isJsonType(type)).toBe(isJson);
});
