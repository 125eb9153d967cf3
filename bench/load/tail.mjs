import { closeAll, openConnections } from './http-connection.mjs';
import { appendRequest, createRequest, httpRequest } from './http-request.mjs';
import { nextOffset } from './posts.mjs';
import { requestLoop } from './request-loop.mjs';

const MIB = 1024 * 1024;

/** Many connections that read the last bytes of a large stream, by their offset, again and again. */
export async function tail({ target, connections: count, streamBytes, tailBytes, durationMs }) {
  const name = '/tail';
  const connections = await openConnections(target.port, count);
  try {
    const [first] = connections;
    let last = await first.expect(createRequest(name), 201);
    const block = appendRequest(name, Buffer.alloc(MIB, 'a'));
    for (let at = 0; at < streamBytes; at += MIB) last = await first.expect(block, 204);
    const request = httpRequest('GET', `${name}?offset=${nextOffset(last)}`);
    await first.expect(appendRequest(name, Buffer.alloc(tailBytes, 'b')), 204);
    const { body } = await first.expect(request, 200);
    if (!body.equals(Buffer.alloc(tailBytes, 'b'))) throw new Error(`${body.length} other bytes came`);
    const { answered: _, ...figures } = await requestLoop({
      pid: target.pid,
      connections,
      requests: connections.map(() => request),
      status: 200,
      durationMs,
    });
    return figures;
  } finally {
    closeAll(connections);
  }
}
