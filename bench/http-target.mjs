// What HTTP clients are measured with: a server that makes bytes, and counts those that it is sent.
//
//   node http-target.mjs PORT
//
// GET /N answers with N bytes, and so does GET /ANYTHING/N, with `no-store` if that is said; GET /small with a few; any
// other request with how many bytes its body had.

import http from 'node:http';

const BLOCK = Buffer.alloc(65_536, 'httpfstream ');
const SMALL = Buffer.from('{"hello":"world"}');

const server = http.createServer((request, response) => {
  response.on('error', () => {});
  if (request.method !== 'GET') {
    let bytes = 0;
    request.on('data', (chunk) => {
      bytes += chunk.length;
    });
    request.once('end', () => response.end(String(bytes)));
  } else if (request.url === '/small') {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': SMALL.length });
    response.end(SMALL);
  } else {
    if (request.url.includes('no-store')) response.setHeader('cache-control', 'no-store');
    sendBytes(response, Number(request.url.split('/').at(-1)));
  }
});
server.listen(Number(process.argv[2]), '127.0.0.1');

function sendBytes(response, bytes) {
  response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': bytes });
  let left = bytes;
  const send = () => {
    while (left > 0) {
      const length = Math.min(left, BLOCK.length);
      left -= length;
      if (!response.write(BLOCK.subarray(0, length))) return;
    }
    response.end();
  };
  response.on('drain', send);
  send();
}
