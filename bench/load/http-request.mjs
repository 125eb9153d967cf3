/** What both servers take as text, so that SSE carries it as it is. */
export const TEXT = 'text/plain';

/** The bytes of a request, with its body. */
export function httpRequest(method, target, headers = {}, body = Buffer.alloc(0)) {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const length = method === 'GET' || method === 'HEAD' ? '' : `Content-Length: ${body.length}\r\n`;
  const head = `${method} ${target} HTTP/1.1\r\nHost: 127.0.0.1\r\n${lines.join('')}${length}\r\n`;
  return Buffer.concat([Buffer.from(head, 'latin1'), body]);
}

/** The bytes of a POST that appends to a text stream. */
export function appendRequest(target, body) {
  return httpRequest('POST', target, { 'Content-Type': TEXT }, body);
}

/** The bytes of a PUT that creates a text stream. */
export function createRequest(target) {
  return httpRequest('PUT', target, { 'Content-Type': TEXT });
}
