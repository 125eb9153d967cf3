import { randomBytes } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { OriginalAppender, OriginalFollower } from '../support/original/clients.ts';
import { FrameReader, frame, Op, ORIGINAL_FRAGMENT_BYTES } from '../support/original/frames.ts';
import { startServerCommand, startServerHere } from '../support/programs/command.ts';
import { waitFor } from '../support/wait-for.ts';

const MIB = 1024 * 1024;

/** What a server may take on top of what it had, however much goes through. */
const MAX_GROWTH_BYTES = 32 * MIB;

const BLOCK_FRAMES = 100;
const BLOCK_BYTES = BLOCK_FRAMES * ORIGINAL_FRAGMENT_BYTES;

/** Appends one message in the original's fragments, of `blocks` times a million bytes. */
async function writeLongMessage(appender: OriginalAppender, blocks: number): Promise<void> {
  const masked = true;
  const fragment = frame(Op.continuation, randomBytes(ORIGINAL_FRAGMENT_BYTES), { fin: false, masked });
  const block = Buffer.concat(Array.from({ length: BLOCK_FRAMES }, () => fragment));
  await appender.writeRaw(frame(Op.text, '', { fin: false, masked }));
  for (let i = 0; i < blocks; i++) await appender.writeRaw(block);
  await appender.writeRaw(frame(Op.continuation, '', { masked }));
}

async function runningAppend<S extends { url(urlPath: string): string; file(name: string): string }>(
  start: () => Promise<S>,
) {
  const server = await start();
  const url = server.url('/a');
  const appender = await OriginalAppender.connect(url);
  const hasBytes = (bytes: number) =>
    waitFor(async () => (await stat(server.file('a'))).size === bytes, `${bytes} bytes`);
  return { server, url, appender, hasBytes };
}

describe('the memory of the server', () => {
  test('does not grow with the length of a message', async () => {
    const { server, url, appender, hasBytes } = await runningAppend(startServerCommand);
    const follower = await OriginalFollower.connect(url);
    await writeLongMessage(appender, 24);
    await hasBytes(24 * BLOCK_BYTES);
    const before = await server.command.peakMemoryBytes();
    await writeLongMessage(appender, 48);
    await hasBytes(72 * BLOCK_BYTES);
    expect((await server.command.peakMemoryBytes()) - before).toBeLessThan(MAX_GROWTH_BYTES);
    await appender.close();
    expect(await follower.outcome).toMatchObject({ exitCode: 0, closeCode: 1000, lostBytes: 0 });
    expect(follower.byteCount).toBe(72 * BLOCK_BYTES);
  });

  test('does not grow with what stalled followers have not taken', async () => {
    const { server, url, appender, hasBytes } = await runningAppend(startServerCommand);
    await writeLongMessage(appender, 24);
    await hasBytes(24 * BLOCK_BYTES);
    const stalled = await Promise.all(
      Array.from({ length: 20 }, () => OriginalFollower.connect(url, { stalled: true })),
    );
    await writeLongMessage(appender, 10);
    await hasBytes(34 * BLOCK_BYTES);
    const before = await server.command.peakMemoryBytes();
    for (let i = 0; i < 2; i++) await writeLongMessage(appender, 20);
    await hasBytes(74 * BLOCK_BYTES);
    expect((await server.command.peakMemoryBytes()) - before).toBeLessThan(MAX_GROWTH_BYTES);
    await appender.close();
    for (const follower of stalled) await follower.cut();
  });
});

test('a frame of which nobody could count the bytes is refused: 1009, and no clean end for followers', async () => {
  const { url, appender } = await runningAppend(startServerHere);
  const follower = await OriginalFollower.connect(url);
  await appender.write('good');
  await waitFor(() => follower.byteCount === 4, 'the bytes');
  const head = Buffer.from([0x81, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]);
  head.writeBigUInt64BE(2n ** 53n, 2);
  await appender.writeRaw(head);
  expect(await follower.outcome).toMatchObject({ exitCode: 1, closeCode: 1011, bytes: Buffer.from('good') });
  const told = [...new FrameReader().read(await appender.readAll())];
  expect(told.map(({ opcode, payload }) => [opcode, payload.readUInt16BE(0)])).toEqual([[Op.close, 1009]]);
  const next = await OriginalAppender.connect(url);
  await next.close();
});
