import { closeAll, openConnections } from './http-connection.mjs';
import { appendRequest, createRequest, httpRequest } from './http-request.mjs';
import { requestLoop } from './request-loop.mjs';
import { headerOf } from './response-reader.mjs';

/** Many connections, each of which POSTs when its last one is answered; to a stream for each, or all to fewer. */
export async function posts({ target, connections: count, streams, messageBytes, durationMs }) {
  const body = Buffer.alloc(messageBytes, 'a');
  const names = Array.from({ length: streams }, (_, i) => `/posts-${i}`);
  const connections = await openConnections(target.port, count);
  try {
    for (const name of names) await connections[0].expect(createRequest(name), 201);
    const requests = connections.map((_, i) => appendRequest(names[i % streams], body));
    const { answered, ...figures } = await requestLoop({
      pid: target.pid,
      connections,
      requests,
      status: 204,
      durationMs,
    });
    await assertHolds(connections[0], names, answered * messageBytes);
    return figures;
  } finally {
    closeAll(connections);
  }
}

/** What was confirmed must be there: a server that forgets is fast. */
async function assertHolds(connection, names, wantedBytes) {
  let bytes = 0;
  for (const name of names) {
    const { body } = await connection.expect(httpRequest('GET', `${name}?offset=-1`), 200);
    bytes += body.length;
  }
  if (bytes !== wantedBytes) throw new Error(`${bytes} bytes are there, ${wantedBytes} were confirmed`);
}

/** The offset behind the last byte, as the answer of an append tells it. */
export function nextOffset({ head }) {
  const offset = headerOf(head, 'stream-next-offset');
  if (offset === undefined) throw new Error('an answer without Stream-Next-Offset');
  return offset;
}
