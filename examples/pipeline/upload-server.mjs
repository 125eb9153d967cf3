// Server 2: takes forms and saves the files in them, while they come.
//
//   node examples/pipeline/upload-server.mjs DIRECTORY [PORT]

import { createWriteStream } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import Busboy from '@fastify/busboy';

const [directory, port = '0'] = process.argv.slice(2);

async function save(source, filename) {
  // A name from outside is never more than a name.
  const file = createWriteStream(path.join(directory, path.basename(filename)));
  await pipeline(source, file);
  return { file: file.path, bytes: file.bytesWritten };
}

const server = http.createServer(async (request, response) => {
  try {
    const form = new Busboy({ headers: request.headers });
    const files = [];
    form.on('file', (_field, source, filename) => {
      const saved = save(source, filename);
      // What cannot be saved is not waited for.
      saved.catch((error) => form.destroy(error));
      files.push(saved);
    });
    await pipeline(request, form);
    response.writeHead(201, { 'content-type': 'application/json' });
    response.end(JSON.stringify(await Promise.all(files)));
  } catch (error) {
    console.error(error.message);
    if (!response.headersSent) response.writeHead(400);
    response.end();
  }
});
server.listen(Number(port), '127.0.0.1', () => {
  const url = `http://127.0.0.1:${server.address().port}`;
  console.log(`server 2 saves in ${directory} what is sent to ${url}/upload`);
  process.send?.(url);
});
process.once('disconnect', () => process.exit());
