import { rm } from 'node:fs/promises';
import { runConformanceTests } from '@durable-streams/server-conformance-tests';
import { afterAll, beforeAll } from 'vitest';
import { makeDirectory } from '../../support/server/reserves.ts';
import { InProcessServer, LONG_POLL_MS } from '../../support/server/restartable-server.ts';

// The suite asks for the address when its tests run, not when it is called.
const suite = { baseUrl: '', longPollTimeoutMs: LONG_POLL_MS };

let server: InProcessServer;

beforeAll(async () => {
  const directory = await makeDirectory('quick');
  // Pages of other origins ask, too.
  server = new InProcessServer(directory, { corsOrigins: ['*'] });
  await server.start();
  suite.baseUrl = server.url('');
});

afterAll(async () => {
  await server.stop();
  await rm(server.root, { recursive: true, force: true });
});

runConformanceTests(suite);
