import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { runServer } from '../src/cli/server/run-server.ts';
import {
  documentedConfiguration,
  PROXIES,
  type ProxyKind,
  proxiesHere,
  startProxy,
} from './support/docs/proxies.ts';
import { PATIENCE_MS } from './support/patience.ts';
import { runHere } from './support/programs/command.ts';
import { freePort } from './support/programs/ports.ts';
import { HeldSocket } from './support/server/held-socket.ts';
import { RestartLoad } from './support/server/restart-load.ts';
import { temporaryDirectory } from './support/server/server.ts';
import { ServerProcess } from './support/server/server-process.ts';

/** `npm run soak` runs the long form, `npm test` the short one, beside others: its bound is only for what hangs. */
const { restarts, silenceMs, ...load } = process.env.HTTPFSTREAM_SOAK
  ? { restarts: 3, appenders: 100, followersOfEach: 5, intervalMs: 200, silenceMs: 2000 }
  : { restarts: 1, appenders: 4, followersOfEach: 2, intervalMs: 100, silenceMs: PATIENCE_MS };

const HAPROXY = PROXIES.filter(({ name }) => name === 'haproxy');

/** What docs/deploy.md adds for a server that is replaced: what cannot be connected is tried again. */
const RETRIES = 'defaults\n    retries 30\n    retry-on conn-failure\n';

/** Where nobody may do anything without a token: a root, the arguments for it, and the token. */
async function prepare() {
  const directory = await temporaryDirectory();
  const auth = path.join(directory, 'auth.json');
  const rule = ['--rights', 'append,follow', '--paths', '/**'];
  const { stdout } = await runHere(runServer, ['token', 'add', 'all', '--auth', auth, ...rule]);
  // One after the other has that one, too.
  const admin = `127.0.0.1:${await freePort()}`;
  // Each has waited for the root, as the second one does: it is replaced as those after it would be.
  const args = ['-drain=1', '-auth', auth, '-admin', admin, '-wait-root=60'];
  return { root: path.join(directory, 'root'), args, token: stdout.trim() };
}

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

test('a server is replaced at a socket that stays open: no client notices, and no byte is lost', async () => {
  const { root, args, token } = await prepare();
  const held = new HeldSocket();
  let server = await ServerProcess.start(root, args, { held });
  expect(server.port).toBe(held.port);
  const running = new RestartLoad(server, load, token);
  await running.start();
  for (let i = 0; i < restarts; i++) {
    server = await replace(server, (log) => new ServerProcess(root, args, { held, log }));
    await running.everybodyHears();
  }
  const outcome = await running.stop();
  expect(outcome.errors).toEqual([]);
  expect(outcome.exact).toBe(load.appenders * load.followersOfEach);
  expect(outcome.silenceMs).toBeLessThan(silenceMs);
  expect(await server.stop('SIGTERM')).toBe(0);
});

test.runIf(process.env.HTTPFSTREAM_SOAK && proxiesHere().includes(HAPROXY[0] as ProxyKind))(
  'without such a socket a proxy that tries again hides it',
  async () => {
    const { root, args, token } = await prepare();
    let server = await ServerProcess.start(root, args);
    const { port } = server;
    const page = await readFile(path.join(import.meta.dirname, '../docs/proxies.md'), 'utf8');
    const [kind] = HAPROXY as [ProxyKind];
    const configuration = documentedConfiguration(page, kind).replace('defaults\n', RETRIES);
    const proxy = await startProxy(kind, configuration, { backendPort: port });
    const running = new RestartLoad({ url: (name) => `${proxy}${name}` }, load, token);
    await running.start();
    for (let i = 0; i < restarts; i++) {
      server = await replace(
        server,
        (log) => new ServerProcess(root, [...args, `-http=127.0.0.1:${port}`], { log }),
      );
      await running.everybodyHears();
    }
    const outcome = await running.stop();
    expect(outcome.errors).toEqual([]);
    expect(outcome.exact).toBe(load.appenders * load.followersOfEach);
    expect(await server.stop('SIGTERM')).toBe(0);
  },
);
