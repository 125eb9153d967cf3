import fs from 'node:fs';
import { statfs } from 'node:fs/promises';
import { expect, onTestFinished, test, vi } from 'vitest';
import { FileSystems, NOTIFIES_EACH_CHANGE } from '../../../src/storage/root/file-systems.ts';
import { diskDirectory } from '../../support/server/server.ts';
import { waitFor } from '../../support/wait-for.ts';

test('a file system tells nothing until it has answered, gets one question until then, and may be another one later', async () => {
  const directory = await diskDirectory();
  const { dev } = fs.statSync(directory, { bigint: true });
  const found = await statfs(directory);
  const answers: ((found: fs.StatsFs) => void)[] = [];
  const asking = vi
    .spyOn(fs.promises, 'statfs')
    .mockImplementation(() => new Promise((resolve) => answers.push(resolve as never)));
  onTestFinished(() => asking.mockRestore());
  const fileSystems = new FileSystems();
  const changed = vi.fn();
  const ask = () => fileSystems.ask(dev, directory, changed);
  for (let i = 0; i < 3; i++) ask();
  expect([answers.length, fileSystems.notifiesAll(dev)]).toEqual([1, false]);
  answers[0]?.(found);
  await waitFor(() => changed.mock.calls.length === (NOTIFIES_EACH_CHANGE ? 1 : 0), 'the answer');
  expect(fileSystems.notifiesAll(dev)).toBe(NOTIFIES_EACH_CHANGE);
  ask();
  const NFS = 0x6969;
  answers[1]?.({ ...found, type: NFS });
  await waitFor(() => !fileSystems.notifiesAll(dev), 'the other answer');
});
