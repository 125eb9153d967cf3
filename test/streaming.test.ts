import { readFile } from 'node:fs/promises';
import path from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { pattern } from './support/pattern.ts';
import { startServer } from './support/server/server.ts';
import { waitFor } from './support/wait-for.ts';
import { Peer } from './support/websocket/peer.ts';

const MiB = 1024 * 1024;

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('append' as const),
      size: fc.oneof(fc.nat(300), fc.nat(100_000), fc.nat(MiB)),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('join' as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('stall' as const), who: fc.nat() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('go on' as const), who: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('cut' as const), who: fc.nat() }) },
);

/** How the appender goes, and what its followers are told. */
const end = fc.constantFrom(
  { how: (appender: Peer) => appender.finish(), closeCode: 1000, isClean: true },
  { how: async (appender: Peer) => appender.websocket.terminate(), closeCode: 1000, isClean: false },
);

test('over real connections every follower has exactly the file, or a prefix of it when it was cut', async () => {
  const server = await startServer();
  let runs = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 5, maxLength: 40 }),
      end,
      async (steps, { how, closeCode, isClean }) => {
        const name = `run-${runs++}`;
        const appender = await Peer.connect(server.url(`/${name}`), 'APPEND');
        const followers: { peer: Peer; isCut: boolean }[] = [];
        let size = 0;
        for (const taken of steps) {
          if (taken.kind === 'append') {
            await appender.send(pattern(size, taken.size));
            size += taken.size;
          } else if (taken.kind === 'join') {
            followers.push({ peer: await Peer.connect(server.url(`/${name}`), 'FOLLOW'), isCut: false });
          } else {
            const follower = followers[taken.who % followers.length];
            if (follower === undefined || follower.isCut) continue;
            if (taken.kind === 'stall') follower.peer.websocket.pause();
            if (taken.kind === 'go on') follower.peer.websocket.resume();
            if (taken.kind === 'cut') {
              follower.isCut = true;
              follower.peer.websocket.terminate();
            }
          }
        }
        await how(appender);
        for (const { peer } of followers) peer.websocket.resume();
        await waitFor(() => followers.every(({ peer }) => peer.closeCode !== undefined), 'all ends');

        const file = await readFile(path.join(server.root, name));
        expect(file.equals(pattern(0, file.length))).toBe(true);
        if (isClean) expect(file.length).toBe(size);
        for (const { peer, isCut } of followers) {
          const { bytes } = peer;
          expect(bytes.equals(file.subarray(0, bytes.length))).toBe(true);
          if (isCut) continue;
          expect(peer.closeCode).toBe(closeCode);
          expect(bytes.length).toBe(file.length);
        }
      },
    ),
    { numRuns: process.env.HTTPFSTREAM_SOAK ? 300 : 12 },
  );
});
