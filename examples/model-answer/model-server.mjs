// Stands for a model: answers a POST with words, one after the other, and says when it is not listened to any more.
//
//   node examples/model-answer/model-server.mjs [PORT] [WORDS] [MILLISECONDS]

import http from 'node:http';
import { json } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';

const [port = '9090', words = '100', milliseconds = '100'] = process.argv.slice(2);

const server = http.createServer(async (request, response) => {
  const { question } = await json(request);
  console.log(`asked: ${question}`);
  response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8' });
  for (let word = 1; word <= Number(words); word++) {
    if (response.destroyed) {
      console.log(`stopped: ${question}`);
      return;
    }
    response.write(`word ${word} `);
    await delay(Number(milliseconds));
  }
  response.end('and that is all\n');
});
server.listen(Number(port), '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}`));
