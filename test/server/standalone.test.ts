import { pino } from 'pino';
import { expect, onTestFinished, test, vi } from 'vitest';
import { StreamStore } from '../../src/core/streams/stream-store.ts';
import { createStandaloneServer } from '../../src/server/standalone.ts';
import { storageFailure } from '../../src/storage/storage-failure.ts';
import { killedRoot } from '../support/core/crash-root.ts';
import { systemError } from '../support/disk/small-disk.ts';
import { InProcessServer } from '../support/server/restartable-server.ts';
import { temporaryDirectory } from '../support/server/server.ts';
import { StreamPeer } from '../support/streams/stream-peer.ts';

test('a start that fails lets the root go, and the next one has everything', async () => {
  const server = new InProcessServer(await killedRoot());
  onTestFinished(() => server.stop());
  const saving = vi.spyOn(StreamStore.prototype, 'save');
  onTestFinished(() => saving.mockRestore());
  saving.mockRejectedValue(storageFailure(systemError('EMFILE')));
  await expect(server.start()).rejects.toMatchObject({ code: 'HFS_STORAGE_BUSY' });
  saving.mockRestore();
  await server.start();
  const stream = new StreamPeer(server, '/two');
  expect((await stream.read()).text).toBe('two 0\ntwo 1\ntwo 2\n');
  expect((await stream.produce('two 2\n', { id: 'p', seq: 2 })).status).toBe(204);
});

test('the standalone server gives its start all the time that it needs', async () => {
  const app = await createStandaloneServer({
    root: await temporaryDirectory(),
    logger: pino({ level: 'silent' }),
  });
  onTestFinished(() => app.close());
  expect(app.initialConfig.pluginTimeout).toBe(0);
});
