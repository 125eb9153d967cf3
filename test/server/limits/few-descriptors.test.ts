import http from 'node:http';
import { expect, onTestFinished, test } from 'vitest';
import { temporaryDirectory } from '../../support/server/server.ts';
import { ServerProcess } from '../../support/server/server-process.ts';
import { Appending, Producing } from '../../support/server/writers.ts';
import { StreamPeer } from '../../support/streams/stream-peer.ts';
import { refusalOf, V2Peer } from '../../support/websocket/v2-peer.ts';

const { descriptors, appenderCount, producerCount } = process.env.HTTPFSTREAM_SOAK
  ? { descriptors: 256, appenderCount: 20, producerCount: 8 }
  : { descriptors: 96, appenderCount: 3, producerCount: 2 };

/** Appends to files of their own until one is refused. */
async function appendToOthers(server: ServerProcess): Promise<V2Peer[]> {
  const others: V2Peer[] = [];
  while (others.length < descriptors) {
    const other = await V2Peer.append(server.url(`/other${others.length}`)).catch(() => undefined);
    if (other === undefined) return others;
    others.push(other);
  }
  throw new Error('nobody was refused');
}

test('without descriptors nothing that was acknowledged is lost, what lives goes on, all can be deleted, and it begins again by itself', async () => {
  const root = await temporaryDirectory();
  const server = await ServerProcess.start(root, ['-max-connections=1000'], { descriptors });
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  onTestFinished(() => agent.destroy());
  const producers = Array.from(
    { length: producerCount },
    (_, i) => new Producing(server, `stream${i}`, 100, agent),
  );
  for (const producer of producers) await producer.create();
  const appenders = await Promise.all(
    Array.from({ length: appenderCount }, (_, i) => Appending.start(server, `file${i}`)),
  );
  const others = await appendToOthers(server);
  expect((await refusalOf(server.url('/one-more'), 'APPEND'))[0]).toBe(503);
  // Whoever is connected makes more streams than there are descriptors.
  const many = Array.from({ length: descriptors }, (_, i) => new Producing(server, `many${i}`, 100, agent));
  for (const each of many) {
    await each.create();
    expect(await each.produce()).toBeUndefined();
  }
  for (const appender of appenders) await appender.append(1000);
  for (const other of others) await other.append('text', 4);
  for (const producer of producers) await producer.produce();
  const stream = new StreamPeer(server, '/many0', 'text/plain', agent);
  expect((await stream.delete()).status).toBe(204);
  for (const other of others) await other.finish();
  for (const producer of producers) {
    expect(await producer.produce()).toBeUndefined();
    await producer.expectWhole();
  }
  for (const appender of appenders) {
    await appender.append(1000);
    await appender.finish();
    await appender.expectWhole(root);
    expect(appender.followerEnding).toEqual(['finished', 1000]);
  }
});
