// Passes a file of 457 MiB from one server to another, as part of a form, in constant memory. Each of the two is a
// process of its own, so that the memory is the client's alone.
//
//   node examples/pipeline/pipeline.mjs [LINES]

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { parse } from 'content-disposition';
import { client, json, logging, ok } from 'httpfstream/http';

const [lines = '10000000'] = process.argv.slice(2);

/** Starts one of the servers; resolves with its URL. */
async function start(name, argument) {
  const child = fork(new URL(name, import.meta.url), [argument]);
  const failed = once(child, 'exit').then(([code]) =>
    Promise.reject(new Error(`${name} ended with ${code}`)),
  );
  const [url] = await Promise.race([once(child, 'message'), failed]);
  return url;
}

function logMemory(when) {
  const { rss, heapUsed, arrayBuffers } = process.memoryUsage();
  const mib = (bytes) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
  console.log(`${when}: resident ${mib(rss)}, heap ${mib(heapUsed)}, buffers ${mib(arrayBuffers)}`);
}

const directory = await mkdtemp(path.join(os.tmpdir(), 'httpfstream-pipeline-'));
try {
  const server1 = client(await start('lines-server.mjs', lines)).use(logging(console));
  const server2 = client(await start('upload-server.mjs', directory)).use(logging(console));
  logMemory('before');

  const file = await ok(await server1.get('/file').send());
  const { filename = 'file' } = parse(file.headers.get('content-disposition') ?? '').parameters;
  const uploaded = await server2.multipart('/upload').file('file', filename, file).send();
  const [saved] = await json(await ok(uploaded));

  logMemory('after');
  console.log(`saved ${saved.file}: ${saved.bytes} bytes, ${(saved.bytes / 2 ** 20).toFixed(2)} MiB`);
} finally {
  await rm(directory, { recursive: true });
}
// The servers end with the one who has started them.
process.exit();
