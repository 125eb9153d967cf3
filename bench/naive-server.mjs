// What one writes first: a `ws` server that appends each message to a file and
// sends it to whoever is there. It has no history, no back-pressure and no
// limit on what it queues for a slow follower. It is here to be compared with.
//
//   node naive-server.mjs DIRECTORY PORT [--durable]
//
// With --durable it acknowledges each message, after a write and an fdatasync of its own.

import { createWriteStream } from 'node:fs';
import { open } from 'node:fs/promises';
import path from 'node:path';
import { WebSocketServer } from 'ws';

const [directory, port, mode] = process.argv.slice(2);
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
  if (mode === '--durable') {
    void appendDurably(socket, path.join(directory, path.basename(pathname)));
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

async function appendDurably(socket, name) {
  const file = await open(name, 'a');
  let position = 0;
  let turn = Promise.resolve();
  socket.on('message', (message) => {
    turn = turn.then(async () => {
      await file.write(message);
      await file.datasync();
      position += message.length;
      socket.send(JSON.stringify({ type: 'ack', position }));
    });
  });
  socket.on('close', () => turn.finally(() => file.close()));
  socket.send(JSON.stringify({ type: 'open', generation: 0, position, live: true }));
}
