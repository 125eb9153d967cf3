import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { Silence } from '../../../src/relay/upstream/silence.ts';
import { waitFor } from '../../support/wait-for.ts';

const SILENCE_MS = 20;

/** Keeps this process from doing anything else for longer than silence may last. */
function standStill(): void {
  const until = performance.now() + 3 * SILENCE_MS;
  while (performance.now() < until);
}

test('what came while this process did not run has come', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  const reader = connect((server.address() as AddressInfo).port, '127.0.0.1');
  onTestFinished(() => void reader.destroy());
  const [writer] = (await once(server, 'connection')) as [Socket];
  onTestFinished(() => void writer.destroy());
  const told: string[] = [];
  const silence = new Silence(
    SILENCE_MS,
    () => true,
    () => told.push('broken'),
  );
  onTestFinished(() => silence.stop());
  const next = () => {
    writer.write('x');
    standStill();
  };
  reader.on('data', () => {
    told.push('data');
    silence.over();
    if (told.length < 5) next();
  });
  next();
  await waitFor(() => told.at(-1) === 'broken', 'the silence to be noticed');
  expect(told).toEqual(['data', 'data', 'data', 'data', 'data', 'broken']);
});

test('nothing is noticed while nobody takes what comes, nor after the end', async () => {
  const told: string[] = [];
  let asked = 0;
  const untaken = new Silence(
    1,
    () => ++asked > 10,
    () => told.push('broken'),
  );
  const stopped = new Silence(
    1,
    () => true,
    () => told.push('stopped'),
  );
  stopped.stop();
  await waitFor(() => told.length > 0, 'the silence to be noticed');
  untaken.stop();
  expect([asked, told]).toEqual([11, ['broken']]);
});
