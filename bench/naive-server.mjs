// What one writes first: a `ws` server that appends each message to a file and
// sends it to whoever is there. It has no history, no back-pressure and no
// limit on what it queues for a slow follower. It is here to be compared with.
//
//   node naive-server.mjs DIRECTORY PORT

import { createWriteStream } from 'node:fs';
import path from 'node:path';
import { WebSocketServer } from 'ws';

const [directory, port] = process.argv.slice(2);
const followersOfPath = new Map();

function followersOf(pathname) {
  if (!followersOfPath.has(pathname)) followersOfPath.set(pathname, new Set());
  return followersOfPath.get(pathname);
}

const server = new WebSocketServer({ host: '127.0.0.1', port: Number(port) });
server.on('connection', (socket, request) => {
  const { pathname, searchParams } = new URL(request.url, 'http://localhost');
  const followers = followersOf(pathname);
  socket.on('error', () => socket.terminate());

  if (searchParams.get('verb') !== 'APPEND') {
    followers.add(socket);
    socket.on('close', () => followers.delete(socket));
    return;
  }
  const file = createWriteStream(path.join(directory, path.basename(pathname)), { flags: 'a' });
  socket.on('message', (message, isBinary) => {
    file.write(message);
    for (const follower of followers) follower.send(message, { binary: isBinary });
  });
  socket.on('close', () => {
    file.end();
    for (const follower of followers) follower.close(1000);
  });
});
