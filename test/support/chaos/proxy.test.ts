import { once } from 'node:events';
import net, { type AddressInfo, type Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { pattern } from '../pattern.ts';
import { Random } from '../random.ts';
import { waitFor } from '../wait-for.ts';
import { FAULTS, type Fault } from './connection.ts';
import { ChaosProxy, CLIENT_HEADER, DEFAULT_CHAOS, NO_CHAOS } from './proxy.ts';

const HEAD = Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n\r\n');

/** One end of a connection, and what came. */
class End {
  readonly socket: Socket;
  readonly chunks: Buffer[] = [];
  hasEnded = false;
  /** True: closed by a reset. */
  closedByError: boolean | undefined;

  /** @param answersEnd whether it closes when the other one does */
  constructor(socket: Socket, answersEnd: boolean) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => this.chunks.push(chunk));
    socket.on('end', () => {
      this.hasEnded = true;
      if (answersEnd) socket.end();
    });
    socket.on('error', () => undefined);
    socket.on('close', (hadError) => {
      this.closedByError = hadError;
    });
  }

  get bytes(): Buffer {
    return Buffer.concat(this.chunks);
  }

  get isClosed(): boolean {
    return this.closedByError !== undefined;
  }
}

/** A server that keeps its connections. */
async function startTarget(answersEnd = true) {
  const ends: End[] = [];
  const server = net.createServer({ allowHalfOpen: true }, (socket) =>
    ends.push(new End(socket, answersEnd)),
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(async () => {
    for (const { socket } of ends) socket.destroy();
    server.close();
    await once(server, 'close');
  });
  return { ends, port: (server.address() as AddressInfo).port };
}

async function connect(port: number, answersEnd = true): Promise<End> {
  const end = new End(net.connect({ host: '127.0.0.1', port, allowHalfOpen: true }), answersEnd);
  if (end.socket.connecting) await once(end.socket, 'connect');
  onTestFinished(() => void end.socket.destroy());
  return end;
}

/** A client and a server, with a proxy that does one thing wrong after so many bytes. */
async function startPair(fault?: Fault, { bytesToFault = 1000, answersEnd = true } = {}) {
  const target = await startTarget(answersEnd);
  const settings = { ...DEFAULT_CHAOS, betweenFaults: [bytesToFault, bytesToFault] as const };
  const proxy = await ChaosProxy.start(
    target.port,
    new Random(1),
    fault === undefined ? NO_CHAOS : { ...settings, weights: { [fault]: 1 } },
  );
  const client = await connect(proxy.port, answersEnd);
  await waitFor(() => target.ends.length === 1, 'the connection');
  return { proxy, target, client, server: target.ends[0] as End };
}

test('bytes pass both ways unchanged, and so does each end', async () => {
  const { client, server } = await startPair(undefined, { answersEnd: false });
  client.socket.end(pattern(0, 3_000_000));
  await waitFor(() => server.hasEnded, 'the way up');
  expect(server.bytes.equals(pattern(0, 3_000_000))).toBe(true);
  expect(client.hasEnded).toBe(false);
  server.socket.end(pattern(7, 2_000_000));
  await waitFor(() => client.hasEnded, 'the way down');
  expect(client.bytes.equals(pattern(7, 2_000_000))).toBe(true);
});

test('a reset passes, and a server that is not there resets the client', async () => {
  const { proxy, client, server } = await startPair();
  server.socket.resetAndDestroy();
  await waitFor(() => client.isClosed, 'the reset');
  expect(client.closedByError).toBe(true);
  const unused = net.createServer().listen(0, '127.0.0.1');
  await once(unused, 'listening');
  proxy.targetPort = (unused.address() as AddressInfo).port;
  unused.close();
  await once(unused, 'close');
  const other = await connect(proxy.port);
  await waitFor(() => other.isClosed, 'the refusal');
});

test('new connections go to the target of the moment', async () => {
  const { proxy, client, server } = await startPair();
  const other = await startTarget();
  proxy.targetPort = other.port;
  (await connect(proxy.port)).socket.write('b');
  client.socket.write('a');
  await waitFor(() => server.bytes.length === 1 && other.ends[0]?.bytes.length === 1, 'both');
});

test.each(FAULTS)('%s happens at its byte, to the right sides', async (fault) => {
  const { proxy, target, client, server } = await startPair(fault);
  const bytes = Buffer.concat([HEAD, pattern(0, 1500)]);
  client.socket.write(bytes.subarray(0, 1000));
  // Nothing is under way when it happens, or a reset might take it along.
  await waitFor(() => server.bytes.length === 1000, 'the bytes before the fault');
  expect(proxy.faultCount).toBe(0);
  client.socket.write(bytes.subarray(1000));
  await waitFor(() => proxy.counts[fault] > 0, 'the fault');

  if (fault === 'stall' || fault === 'split' || fault.startsWith('duplicate')) {
    await waitFor(() => server.bytes.length === bytes.length, 'the bytes to go on');
    if (fault === 'split') {
      expect(proxy.counts.splitByte).toBeGreaterThan(0);
    } else if (fault !== 'stall') {
      await waitFor(() => target.ends.length === 2, 'the second connection');
      const second = target.ends[1] as End;
      await waitFor(() => second.isClosed, 'its end');
      expect(second.bytes.equals(HEAD.subarray(0, second.bytes.length))).toBe(true);
      expect(client.isClosed).toBe(false);
    }
  } else {
    await waitFor(() => client.isClosed && server.isClosed, 'both to be closed');
    const isDelivered = fault === 'forgetClientThenDeliver';
    expect(server.bytes.equals(bytes.subarray(0, server.bytes.length))).toBe(true);
    expect(server.bytes.length).toBe(isDelivered ? bytes.length : 1000);
    if (fault === 'resetClient' || fault === 'resetBoth') expect(client.closedByError).toBe(true);
    if (fault === 'resetServer' || fault === 'resetBoth') expect(server.closedByError).toBe(true);
    if (fault === 'cut' || fault === 'halfClose') expect(server.closedByError).toBe(false);
  }
  expect(proxy.describe()).toContain(`seed 1 (HTTPFSTREAM_SEED)`);
  await proxy.close();
  expect(proxy.socketCount).toBe(0);
});

test('the first connection of a client that says who it is is spared', async () => {
  const { proxy, target } = await startPair('cut', { bytesToFault: 5 });
  const head = (path: string) => Buffer.from(`GET ${path} HTTP/1.1\r\n${CLIENT_HEADER}: a\r\n\r\n`);
  const arrived = (path: string) => target.ends.find(({ bytes }) => bytes.equals(head(path)));
  const first = await connect(proxy.port);
  first.socket.write(head('/first'));
  await waitFor(() => arrived('/first') !== undefined, 'the handshake');
  const second = await connect(proxy.port);
  second.socket.write(head('/second'));
  await waitFor(() => second.isClosed, 'the cut');
  expect(first.hasEnded).toBe(false);
  expect(arrived('/second')).toBeUndefined();

  const repeated = proxy.repeatHandshakes();
  await waitFor(() => arrived('/second') !== undefined, 'the newest handshake once more');
  const third = arrived('/second') as End;
  third.socket.write('a');
  await repeated;
  await waitFor(() => third.isClosed, 'the cut');
});

test('connections can be cut, reset, stalled and refused by hand', async () => {
  const { proxy, target, client, server } = await startPair();
  proxy.stallAll();
  client.socket.write('a');
  const other = await connect(proxy.port);
  other.socket.write('b');
  await waitFor(() => target.ends[1]?.bytes.length === 1, 'a new connection');
  expect(server.bytes.length).toBe(0);
  proxy.resumeAll();
  await waitFor(() => server.bytes.length === 1, 'the old one');
  proxy.refuse(true);
  await connect(proxy.port)
    .then((refused) => waitFor(() => refused.isClosed, 'the refusal'))
    .catch(() => 'refused at once');
  expect(proxy.counts.refusal).toBe(1);
  proxy.refuse(false);
  proxy.cutAll();
  await waitFor(() => client.hasEnded && server.hasEnded, 'the cut');
  const last = await connect(proxy.port);
  await waitFor(() => target.ends.length === 3, 'the last one');
  proxy.resetAll();
  await waitFor(() => last.closedByError === true && target.ends[2]?.closedByError === true, 'the reset');
  await waitFor(() => proxy.socketCount === 0, 'every socket to be freed');
});
