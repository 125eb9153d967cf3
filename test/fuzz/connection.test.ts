import net, { type AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { Connection } from './connection.ts';
import type { Conversation } from './conversation.ts';
import { Memory } from './memory.ts';

/** Serves one connection after the other, until the test is over. */
async function serve(onConnection: (socket: net.Socket) => void): Promise<number> {
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => undefined);
    onTestFinished(() => void socket.destroy());
    onConnection(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

function converse(port: number, conversation: Omit<Conversation, 'number'>) {
  const received: string[] = [];
  const listener = {
    sends: () => undefined,
    received: (_: Conversation, text: string) => received.push(text),
  };
  const connection = new Connection({ number: 0, ...conversation }, port, new Memory(port), listener);
  return { connection, received };
}

test('what comes in pieces is seen as a whole', async () => {
  const port = await serve((socket) => {
    socket.write('a sec');
    socket.once('data', () => socket.end('ret'));
  });
  const { connection, received } = converse(port, {
    steps: [{ do: 'listen' }, { do: 'send', bytes: Buffer.from('more'), cuts: [0.5] }],
    farewell: 'halfClose',
  });
  await connection.play();
  await connection.closed;
  expect(received.some((text) => text.includes('a secret'))).toBe(true);
});

test('a connection that the server does not close stays open, and one that it closes does not', async () => {
  const port = await serve((socket) => socket.resume().once('end', () => socket.end()));
  const farewells = ['halfClose', 'stay', 'awaitClose'] as const;
  const connections = await Promise.all(
    farewells.map(async (farewell) => {
      const { connection } = converse(port, { steps: [], farewell });
      await connection.play();
      return connection;
    }),
  );
  await connections[0]?.closed;
  expect(connections.map(({ isClosed }) => isClosed)).toEqual([true, false, false]);
  for (const connection of connections) connection.destroy();
});
