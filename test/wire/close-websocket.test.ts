import fc from 'fast-check';
import { expect, test } from 'vitest';
import { cutText } from '../../src/wire/close-websocket.ts';
import { character } from '../support/characters.ts';

test('of a text as many whole characters are left as there is room for', () => {
  fc.assert(
    fc.property(fc.array(character, { maxLength: 40 }), fc.nat(130), (characters, maxBytes) => {
      const cut = cutText(characters.join(''), maxBytes);
      const count = [...cut].length;
      expect(cut).toBe(characters.slice(0, count).join(''));
      expect(Buffer.byteLength(cut)).toBeLessThanOrEqual(maxBytes);
      const isAll = count === characters.length;
      expect(isAll || Buffer.byteLength(cut + characters[count]) > maxBytes).toBe(true);
    }),
  );
});
