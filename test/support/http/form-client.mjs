// Run as a process of its own: `node http-form-client.mjs SOURCE TARGET NAME`.
// Streams what GET of SOURCE answers as the file NAME of a form to TARGET, and
// prints the answer. Exit code 1 unless that is 2xx.

import { once } from 'node:events';
import http from 'node:http';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';

const [source, target, name] = process.argv.slice(2);
const BOUNDARY = 'a-boundary-that-is-nowhere-in-the-file';

const [body] = await once(http.get(source), 'response');
const request = http.request(target, {
  method: 'POST',
  headers: { 'content-type': `multipart/form-data; boundary=${BOUNDARY}` },
});
const answered = once(request, 'response');
await pipeline(form, request);
const [answer] = await answered;
process.stdout.write(await text(answer));
process.exitCode = answer.statusCode < 300 ? 0 : 1;

async function* form() {
  yield `--${BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="${name}"\r\n\r\n`;
  yield* body;
  yield `\r\n--${BOUNDARY}--\r\n`;
}
