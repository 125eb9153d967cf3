// A client that means well, beside the fuzzer and in a process of its own: gets
// a small file, appends to a stream as a producer, and sends messages through a
// live follow, over and over, and seldom after a byte on its stdin. At the end of its
// stdin it sees whether all that was acknowledged is there, and writes what it found
// to stdout, as JSON.
//
// node healthy-client.mjs URL: of a directory that has small.txt

import http from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { follow, openAppend } from '../../dist/lib/client.js';

const PAUSE_MS = 20;

/** When it is told to, by a byte on its stdin, it only sees that it is still served. */
const LONG_PAUSE_MS = 250;

/** What takes so long counts as not answered at all. */
const PATIENCE_MS = 60_000;

const url = process.argv[2];
const samples = [];
const failures = [];
let isOver = false;
let pauseMs = PAUSE_MS;

const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

function request(method, name, { headers = {}, body = '', patienceMs = PATIENCE_MS } = {}) {
  return new Promise((resolve, reject) => {
    const outgoing = http.request(`${url}/${name}`, { method, agent, headers, timeout: patienceMs });
    outgoing.once('error', reject);
    outgoing.once('timeout', () => outgoing.destroy(new Error(`${method} ${name} was not answered`)));
    outgoing.once('response', (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.once('error', reject);
      response.once('end', () =>
        resolve({ status: response.statusCode, body: Buffer.concat(chunks).toString() }),
      );
    });
    outgoing.end(body);
  });
}

/** Does the same thing until it is over, and keeps how long each took. */
async function repeat(kind, act) {
  for (let i = 0; !isOver; i++) {
    const started = performance.now();
    try {
      await act(i);
      samples.push({ kind, at: Date.now(), milliseconds: performance.now() - started });
    } catch (error) {
      failures.push(`${kind} ${i}: ${error.message}`);
      // Whoever is told that the server is gone asks again soon enough.
      if (failures.length > 100) return;
    }
    await delay(pauseMs);
  }
}

const known = await request('GET', 'small.txt');
if (known.status !== 200) throw new Error(`the small file: ${known.status}`);

async function get() {
  const { status, body } = await request('GET', 'small.txt');
  if (status !== 200 || body !== known.body)
    throw new Error(`answered with ${status} and ${body.length} bytes`);
}

const made = await request('PUT', 'appended.txt', { headers: { 'content-type': 'text/plain' } });
if (made.status !== 201) throw new Error(`the stream: ${made.status}`);
let appended = '';

async function append() {
  const line = `${appended.length}\n`;
  const headers = {
    'content-type': 'text/plain',
    'producer-id': 'healthy',
    'producer-epoch': '0',
    'producer-seq': String(appended.split('\n').length - 1),
  };
  const { status, body } = await request('POST', 'appended.txt', { headers, body: line });
  // 204: it had arrived before.
  if (status !== 200 && status !== 204) throw new Error(`answered with ${status}: ${body}`);
  appended += line;
}

let reconnects = 0;
const onReconnect = () => reconnects++;
const appender = openAppend(`${url}/live.txt`, { onReconnect });
await new Promise((resolve, reject) => appender.once('open', resolve).once('error', reject));
const follower = follow(`${url}/live.txt`, { onReconnect });
let sent = '';
let followed = '';
let arrived = () => undefined;
let broken = (_error) => undefined;
follower.on('data', (chunk) => {
  followed += chunk;
  if (followed.length >= sent.length) arrived();
});
for (const stream of [appender, follower]) {
  stream.on('error', (error) => {
    failures.push(`live: ${error.message}`);
    broken(error);
  });
}

function send(i) {
  if (appender.destroyed || follower.destroyed) throw new Error('is broken');
  const message = `message ${i}\n`;
  sent += message;
  return new Promise((resolve, reject) => {
    arrived = resolve;
    broken = reject;
    setTimeout(() => reject(new Error('did not arrive')), PATIENCE_MS).unref();
    appender.write(message);
  });
}

const loops = [repeat('get', get), repeat('append', append), repeat('live', send)];
process.stdout.write('ready\n');
process.stdin.on('data', () => {
  pauseMs = LONG_PAUSE_MS;
});
await new Promise((resolve) => process.stdin.once('end', resolve));
isOver = true;
await Promise.all(loops);

try {
  const { body } = await request('GET', 'appended.txt');
  if (body !== appended)
    failures.push(`of ${appended.length} bytes that were acknowledged ${body.length} others are there`);
  const ended = new Promise((resolve) => follower.once('close', resolve));
  await appender.close();
  await ended;
  if (followed !== sent)
    failures.push(`of ${sent.length} bytes that were sent ${followed.length} others were followed`);
  if (follower.reason !== 'finished') failures.push(`the follower ended as ${follower.reason}`);
} catch (error) {
  failures.push(`at the end: ${error.message}`);
}
if (reconnects > 0) failures.push(`its WebSockets were cut ${reconnects} times`);
process.stdout.write(`${JSON.stringify({ samples, failures, appended, sent })}\n`, () => process.exit(0));
