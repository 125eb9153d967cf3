// The Durable Streams project's own Node server with its file store. It is here to be compared with.
//
//   node durable-streams-server.mjs DIRECTORY PORT

import { DurableStreamTestServer } from '@durable-streams/server';

const [dataDir, port] = process.argv.slice(2);
await new DurableStreamTestServer({ dataDir, port: Number(port), host: '127.0.0.1' }).start();
