// Server 1: a large file, made line by line while somebody downloads it.
//
//   node examples/pipeline/lines-server.mjs [LINES] [PORT]

import http from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

const [lines = '10000000', port = '0'] = process.argv.slice(2);

/** Some 64 KiB at a time: a chunk for each line would cost many times as much. */
function* madeChunks() {
  for (let number = 1; number <= Number(lines); ) {
    let chunk = '';
    for (; number <= Number(lines) && chunk.length < 65_536; number++) {
      chunk += `Line ${number}: one line of many in a large file.\n`;
    }
    yield Buffer.from(chunk);
  }
}

const server = http.createServer((_request, response) => {
  const headers = {
    'content-type': 'text/plain',
    'content-disposition': 'attachment; filename="large file.txt"',
  };
  response.writeHead(200, headers);
  // Made no faster than it is taken; nothing is left to do for a reader who has gone.
  pipeline(Readable.from(madeChunks()), response).catch(() => {});
});
server.listen(Number(port), '127.0.0.1', () => {
  const url = `http://127.0.0.1:${server.address().port}`;
  console.log(`server 1 makes ${Number(lines).toLocaleString('en-US')} lines at ${url}/file`);
  process.send?.(url);
});
process.once('disconnect', () => process.exit());
