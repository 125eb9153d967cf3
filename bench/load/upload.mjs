import { spawn } from 'node:child_process';
import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { warmPageCache } from '../page-cache.mjs';
import { HttpConnection } from './http-connection.mjs';
import { httpRequest } from './http-request.mjs';
import { whileProgressing } from './progress.mjs';
import { measureUsage } from './usage.mjs';
import { watchMemory } from './watch-memory.mjs';

const BLOCK = Buffer.alloc(1024 * 1024, 'httpfstream ');
const WAIT_SECONDS = 30;

/** One upload over plain HTTP of what is known beforehand, and one follower over plain HTTP; over when it has everything. */
export async function upload({ target, fileBytes, curl, temporaryDirectory }) {
  await pass('warm-up', { target, bytes: Math.ceil(fileBytes / 8), curl, temporaryDirectory });
  return pass('timed', { target, bytes: fileBytes, curl, temporaryDirectory });
}

async function pass(name, { target, bytes, curl, temporaryDirectory }) {
  const source = path.join(temporaryDirectory, `upload-${process.pid}`);
  let follower;
  try {
    if (curl !== undefined) writeSource(source, bytes);
    warmPageCache(bytes, temporaryDirectory);
    // Not before: a connection on which nothing is asked is not kept for long.
    follower = await HttpConnection.open(target.port);
    const usage = measureUsage(target.pid);
    const memory = watchMemory(target.pid);
    let received = 0;
    const followed = follow(follower, name, (length) => {
      received += length;
    });
    const sent = curl === undefined ? sendAll(target.port, name, bytes) : runCurl(curl, target, name, source);
    try {
      await whileProgressing(Promise.all([followed, sent]), () => received, name);
    } finally {
      memory.stop();
    }
    if (received !== bytes) throw new Error(`the follower got ${received} of ${bytes} bytes`);
    return { ...usage(), bytes, serverPeakGrowthBytes: memory.peakGrowthBytes };
  } finally {
    follower?.close();
    rmSync(source, { force: true });
  }
}

/** Resolves at the clean end of the stream. */
function follow(connection, name, onBytes) {
  return new Promise((resolve, reject) => {
    connection.onFailure = reject;
    connection.reader.onHead = (status) => status !== 200 && reject(new Error(`FOLLOW: ${status}`));
    connection.reader.onBody = (_, from, to) => onBytes(to - from);
    connection.reader.onResponse = resolve;
    connection.send(httpRequest('GET', `/${name}?verb=FOLLOW&wait=${WAIT_SECONDS}`));
  });
}

function runCurl(curl, { port }, name, source) {
  const url = `http://127.0.0.1:${port}/${name}?verb=APPEND`;
  const child = spawn(curl, ['-sS', '--fail', '-T', source, url], { stdio: ['ignore', 'ignore', 'pipe'] });
  let problem = '';
  child.stderr.setEncoding('utf8').on('data', (text) => {
    problem += text;
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) =>
      code === 0 ? resolve() : reject(new Error(problem.trim() || `curl: ${code}`)),
    );
  });
}

/** What is done where there is no curl. */
async function sendAll(port, name, bytes) {
  const request = http.request({
    port,
    host: '127.0.0.1',
    method: 'PUT',
    path: `/${name}?verb=APPEND`,
    headers: { 'Content-Length': bytes },
  });
  const answered = new Promise((resolve, reject) => {
    request.once('error', reject);
    request.once('response', (response) => {
      response.resume();
      if (response.statusCode < 300) resolve();
      else reject(new Error(`PUT: ${response.statusCode}`));
    });
  });
  await Promise.all([answered, pipeline(Readable.from(blocksOf(bytes)), request)]);
}

function* blocksOf(bytes) {
  for (let left = bytes; left > 0; left -= BLOCK.length) {
    yield BLOCK.subarray(0, Math.min(left, BLOCK.length));
  }
}

function writeSource(file, bytes) {
  const fd = openSync(file, 'w');
  try {
    for (const block of blocksOf(bytes)) writeSync(fd, block);
  } finally {
    closeSync(fd);
  }
}
