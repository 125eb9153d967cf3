import { expect, onTestFinished, test } from 'vitest';
import { HeldSocket } from './support/server/held-socket.ts';
import { quickDirectory } from './support/server/reserves.ts';
import { RestartLoad } from './support/server/restart-load.ts';
import { ServerProcess } from './support/server/server-process.ts';

/** `npm run soak` runs the long form, `npm test` the short one. */
const { silenceMs, ...load } = process.env.HTTPFSTREAM_SOAK
  ? { appenders: 100, followersOfEach: 5, intervalMs: 200, silenceMs: 2000 }
  : { appenders: 10, followersOfEach: 3, intervalMs: 50, silenceMs: Number.POSITIVE_INFINITY };

const RESTARTS = 3;

/** Starts the next server, which waits for the root, and only then ends the one before. */
async function replace(
  current: ServerProcess,
  start: (log: (line: string) => void) => ServerProcess,
): Promise<ServerProcess> {
  let isWaiting = () => {};
  const waiting = new Promise<void>((resolve) => (isWaiting = resolve));
  const next = start((line) => {
    if (line.includes('waiting for it')) isWaiting();
  });
  const started = next.start();
  onTestFinished(() => void next.stop());
  await Promise.race([waiting, started]);
  expect(await current.stop('SIGTERM')).toBe(0);
  await started;
  return next;
}

test(`${RESTARTS} restarts at a socket that stays open: no client notices, and no byte is lost`, async () => {
  const root = await quickDirectory();
  const held = new HeldSocket();
  let server = await ServerProcess.start(root, ['-drain=1'], { held });
  expect(server.port).toBe(held.port);
  const running = new RestartLoad(server, load);
  await running.start();
  for (let i = 0; i < RESTARTS; i++) {
    server = await replace(
      server,
      (log) => new ServerProcess(root, ['-drain=1', '-wait-root=60'], { held, log }),
    );
    await running.everybodyHears();
  }
  const outcome = await running.stop();
  expect(outcome.errors).toEqual([]);
  expect(outcome.exact).toBe(load.appenders * load.followersOfEach);
  expect(outcome.silenceMs).toBeLessThan(silenceMs);
  expect(await server.stop('SIGTERM')).toBe(0);
});
