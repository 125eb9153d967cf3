import { mkdtemp, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { runConformanceTests } from '@durable-streams/server-conformance-tests';
import type { FastifyInstance } from 'fastify';
import { pino } from 'pino';
import { afterAll, beforeAll } from 'vitest';
import { createStandaloneServer } from '../../../src/server/standalone.ts';
import { LONG_POLL_MS } from '../../support/server/streams-server.ts';

// The suite asks for the address when its tests run, not when it is called.
const suite = { baseUrl: '', longPollTimeoutMs: LONG_POLL_MS };

let directory: string;
let app: FastifyInstance;

beforeAll(async () => {
  directory = await mkdtemp(path.join(os.tmpdir(), 'httpfstream-suite-'));
  app = await createStandaloneServer({
    root: path.join(directory, 'root'),
    longPollMs: LONG_POLL_MS,
    // Pages of other origins ask, too.
    corsOrigins: ['*'],
    closeTimeoutMs: 200,
    logger: pino({ level: 'silent' }),
  });
  await app.listen({ host: '127.0.0.1', port: 0 });
  suite.baseUrl = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`;
});

afterAll(async () => {
  await app?.close();
  await rm(directory, { recursive: true, force: true });
});

runConformanceTests(suite);
