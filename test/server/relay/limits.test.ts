import { readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { send } from '../../support/http/request.ts';
import { startOrigin, startRelay } from '../../support/relay/origin.ts';
import { waitFor } from '../../support/wait-for.ts';

test('nothing stays of a copy that a limit has no room for, and who asks is told why', async () => {
  const origin = await startOrigin();
  await writeFile(path.join(origin.root, 'f'), Buffer.alloc(3000, 'x'));
  const limits = [
    { options: { quotas: [{ pattern: '/**', bytes: 1000 }] }, status: 507, code: 'HFS_QUOTA_EXCEEDED' },
    { options: { maxResourceBytes: 1000 }, status: 413, code: 'HFS_RESOURCE_TOO_LARGE' },
  ];
  for (const { options, status, code } of limits) {
    const relay = await startRelay(origin.url('/'), options);
    const answer = await send('GET', relay.url('/f'));
    expect([answer.status, JSON.parse(answer.text)]).toMatchObject([status, { code }]);
    await waitFor(async () => !(await readdir(relay.root)).includes('f'), 'the part to go');
  }
});
