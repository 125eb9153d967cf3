import { buffer } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { ReadNumbers } from '../../../src/core/numbers.ts';
import { JoinedBody } from '../../../src/server/relay/joined-body.ts';

test('a body without any bytes ends', async () => {
  expect(await buffer(new JoinedBody(new ReadNumbers('http'), () => true, 0))).toHaveLength(0);
});
