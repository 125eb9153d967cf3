import { expect, test } from 'vitest';
import { rawHandshake } from '../../support/http/raw.ts';
import { frame, Op } from '../../support/original/frames.ts';
import { startServer } from '../../support/server/server.ts';
import { waitFor } from '../../support/wait-for.ts';
import { Peer } from '../../support/websocket/peer.ts';

const APPEND = 'X-Verb: APPEND';
const closeFrame = (payload: readonly number[]) => frame(Op.close, Buffer.from(payload), { masked: true });

test.each([
  ['a close frame with 1000', [closeFrame([0x03, 0xe8])], 1000],
  ['a close frame without a code', [closeFrame([])], 1000],
  ['a close frame with 1001', [closeFrame([0x03, 0xe9])], 1011],
  [
    '1000 within a message',
    [frame(Op.text, Buffer.from('x'), { masked: true, fin: false }), closeFrame([0x03, 0xe8])],
    1011,
  ],
  ['a close frame with half a code', [closeFrame([0x03])], 1011],
  ['1005, which may not be sent', [closeFrame([0x03, 0xed])], 1011],
  ['1000 and a reason that is not UTF-8', [closeFrame([0x03, 0xe8, 0xff])], 1011],
  ['1006, which may not be sent', [closeFrame([0x03, 0xee])], 1011],
])('an appender that ends with %s', async (_how, frames, closeCode) => {
  const server = await startServer();
  const { socket } = await rawHandshake(server.port, '/f', [APPEND]);
  const follower = await Peer.connect(server.url('/f'), 'FOLLOW');
  for (const bytes of frames) socket.write(bytes);
  await waitFor(() => follower.closeCode !== undefined, 'the end');
  expect(follower.closeCode).toBe(closeCode);
});
