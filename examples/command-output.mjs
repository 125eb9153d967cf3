// Streams what a command prints, each piece when it is printed, to whoever asks; and asks.
//
//   node examples/command-output.mjs [COMMAND ARGUMENT...]

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import { pipeline } from 'node:stream/promises';
import { client, lines, ok } from 'httpfstream/http';

const CLOCK = ['sh', '-c', 'for second in 1 2 3; do date; sleep 1; done'];
const [command, ...args] = process.argv.length > 2 ? process.argv.slice(2) : CLOCK;

async function streamCommand(_request, response) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'close').catch((error) => {
    console.error(error.message);
    return [];
  });
  // Nobody is left to hear it.
  response.once('close', () => child.kill());
  response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' });
  // The head goes before the first output, which may take its time.
  response.flushHeaders();
  await pipeline(child.stdout, response, { end: false }).catch(() => {});
  const [exitCode] = await ended;
  // What a command that failed has printed is not to be taken for all of it.
  if (exitCode === 0) response.end();
  else response.destroy();
}

const server = http.createServer(streamCommand).listen(0, '127.0.0.1');
await once(server, 'listening');
try {
  const output = await ok(await client(`http://127.0.0.1:${server.address().port}`).get('').send());
  for await (const line of lines(output)) console.log(line);
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
server.close();
