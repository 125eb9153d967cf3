import type { FastifyInstance } from 'fastify';
import { startServer, type TestServer } from '../server/server.ts';

/** A server, and how often it was asked for each path, and how. */
export interface Origin extends TestServer {
  /** `GET /path FOLLOW` and the like, in order. */
  readonly requests: string[];
}

/** A server from which a relay has what it serves. */
export async function startOrigin(options: Parameters<typeof startServer>[0] = {}): Promise<Origin> {
  const server = await startServer(options);
  return { ...server, requests: requestsOf(server.app) };
}

/** A relay, which is an origin to the next one. */
export function startRelay(
  upstream: string,
  options: Parameters<typeof startServer>[0] = {},
): Promise<Origin> {
  return startOrigin({ upstreams: [upstream], ...options });
}

function requestsOf(app: FastifyInstance): string[] {
  const requests: string[] = [];
  const note = (request: { method?: string; url?: string; headers: Record<string, unknown> }) => {
    const { upgrade, 'x-verb': verb = '' } = request.headers;
    const kind = upgrade === undefined ? '' : ' WebSocket';
    requests.push(`${request.method} ${request.url} ${verb}${kind}`.trim());
  };
  app.server.prependListener('request', note);
  app.server.prependListener('upgrade', note);
  return requests;
}
