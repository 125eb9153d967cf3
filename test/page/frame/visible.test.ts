import { expect, test } from 'vitest';
import { visible } from '../../../src/page/frame/visible.ts';

test('what a browser would not show, or show elsewhere, is visible', () => {
  expect(visible('a\u202eb\u0000c\td\u2028\ud800')).toBe('a\\u202eb\\u0000c\\td\\u2028\\ud800');
  expect(visible('👩‍💻 é 漢')).toBe('👩‍💻 é 漢');
});
