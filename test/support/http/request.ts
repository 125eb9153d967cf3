import http from 'node:http';
import { PATIENCE_MS } from '../patience.ts';

export interface Answer {
  status: number;
  headers: http.IncomingHttpHeaders;
  body: Buffer;
}

/** Makes a request on a connection of its own and reads the whole answer. Redirects are not followed. */
export function request(
  url: string,
  { method = 'GET', headers = {} }: { method?: string; headers?: http.OutgoingHttpHeaders } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing = http.request(url, { method, headers, agent: false, timeout: PATIENCE_MS });
    answerOf(outgoing).then(resolve, reject);
    outgoing.once('timeout', () => outgoing.destroy(new Error('the server did not answer')));
    outgoing.end();
  });
}

/** Reads the whole answer of a request that is under way. */
export function answerOf(outgoing: http.ClientRequest): Promise<Answer> {
  return new Promise((resolve, reject) => {
    outgoing.once('error', reject);
    outgoing.once('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.once('error', reject);
      response.once('end', () => {
        const { statusCode = 0, headers } = response;
        resolve({ status: statusCode, headers, body: Buffer.concat(chunks) });
      });
    });
  });
}

/** `GET` with some headers. */
export function get(url: string, headers: http.OutgoingHttpHeaders = {}): Promise<Answer> {
  return request(url, { headers });
}

/** `HEAD` with some headers. */
export function head(url: string, headers: http.OutgoingHttpHeaders = {}): Promise<Answer> {
  return request(url, { method: 'HEAD', headers });
}
