// Passes all that comes on to another server, and its answers back, each byte as it comes, in constant memory.
//
//   node examples/proxy.mjs http://localhost:8080 [PORT]

import http from 'node:http';
import { pipeline } from 'node:stream/promises';
import { client, readable } from 'httpfstream/http';

const [target, port = '8081'] = process.argv.slice(2);
// Redirects are for the one who has asked.
const upstream = client(target).use((next) => (url, init) => next(url, { ...init, redirect: 'manual' }));
/** What is said of one connection is not passed on. */
const ofConnection = new Set(['host', 'connection', 'keep-alive', 'transfer-encoding', 'upgrade']);
const passedOn = (headers) => headers.filter(([name]) => !ofConnection.has(name));

const server = http.createServer(async (request, response) => {
  const { method, url, headers } = request;
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  // Who has been answered may still send what nobody wants.
  response.once('finish', () => request.resume());
  try {
    const sent = upstream.request(method, url.replaceAll('{', '%7B')).signal(gone.signal);
    for (const [name, value] of passedOn(Object.entries(headers))) sent.header(name, String(value));
    const hasBody = 'transfer-encoding' in headers || Number(headers['content-length']) > 0;
    // Not destroyed with its exchange: on the same connection goes back why it was refused.
    if (hasBody) sent.body(request.iterator({ destroyOnReturn: false }));
    // Whoever asks for this has the bytes as they are, coded or not.
    const answer = await sent.header('accept-encoding', 'identity').send();
    response.writeHead(answer.status, passedOn([...answer.headers]).flat()).flushHeaders();
    await pipeline(readable(answer), response);
  } catch (error) {
    if (!gone.signal.aborted) console.error(`${method} ${url}: ${error.message}`);
    if (response.headersSent) response.destroy();
    else response.writeHead(502).end();
  }
});
server.listen(Number(port), '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}`));
