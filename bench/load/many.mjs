import { closeAll, openConnections } from './http-connection.mjs';
import { appendRequest, createRequest, httpRequest } from './http-request.mjs';
import { headerOf } from './response-reader.mjs';

const CONNECTIONS = 64;
const STREAMS_IN_DIRECTORY = 1000;
const MESSAGE = Buffer.from('what is appended once\n');

/** Creates many streams, each of which is appended to once and closed. */
export async function many({ target, streams }) {
  const startedAt = performance.now();
  await forEach(target.port, streams, async (connection, i) => {
    const name = nameOf(i);
    await connection.expect(createRequest(name), 201);
    await connection.expect(appendRequest(name, MESSAGE), 204);
    await connection.expect(httpRequest('POST', name, { 'Stream-Closed': 'true' }), 204);
  });
  return { streamsPerSecond: streams / ((performance.now() - startedAt) / 1000) };
}

/** Looks whether some of them, over the whole range, are as they were left. */
export async function manyCheck({ target, streams, samples }) {
  await forEach(target.port, samples, async (connection, i) => {
    const name = nameOf(Math.floor((i * streams) / samples));
    const { head, body } = await connection.expect(httpRequest('GET', `${name}?offset=-1`), 200);
    if (!body.equals(MESSAGE)) throw new Error(`${name} has ${body.length} bytes`);
    if (headerOf(head, 'stream-closed') !== 'true') throw new Error(`${name} is open again`);
  });
  return {};
}

async function forEach(port, count, work) {
  const connections = await openConnections(port, Math.min(CONNECTIONS, count));
  let next = 0;
  try {
    await Promise.all(
      connections.map(async (connection) => {
        while (next < count) await work(connection, next++);
      }),
    );
  } finally {
    closeAll(connections);
  }
}

function nameOf(i) {
  return `/many/${Math.floor(i / STREAMS_IN_DIRECTORY)}/${i}`;
}
