import { setTimeout as delay } from 'node:timers/promises';
import WebSocket from 'ws';
import { measureUsage } from './usage.mjs';

/** The first part of the time counts for nothing: a fresh server's code is hardly compiled. */
const WARM_UP_SHARE = 0.25;

/** Many appenders, each on a resource of its own, each of which sends its next message when the last one is acknowledged. */
export async function acks({ target, appenders, messageBytes, durationMs }) {
  const message = Buffer.alloc(messageBytes, 'a');
  const state = { isRunning: true, acknowledged: 0, latenciesMs: [] };
  const sockets = await Promise.all(
    Array.from({ length: appenders }, (_, i) => openAppender(target, `acks-${i}`)),
  );
  for (const socket of sockets) keepAppending(socket, message, state);
  await delay(durationMs * WARM_UP_SHARE);
  state.acknowledged = 0;
  state.latenciesMs = [];
  const usage = measureUsage(target.pid);
  await delay(durationMs);
  state.isRunning = false;
  const { seconds, ...rest } = usage();
  const { acknowledged, latenciesMs } = state;
  for (const socket of sockets) socket.terminate();
  latenciesMs.sort((a, b) => a - b);
  return {
    ...rest,
    acknowledgedPerSecond: acknowledged / seconds,
    ackP50Ms: latenciesMs[Math.floor(latenciesMs.length / 2)],
    ackP99Ms: latenciesMs[Math.floor(latenciesMs.length * 0.99)],
  };
}

function openAppender({ port, appendTarget }, name) {
  return new Promise((resolve, reject) => {
    const target = appendTarget.replace('{name}', name);
    const socket = new WebSocket(`ws://127.0.0.1:${port}${target}`, 'httpfstream.v2', {
      perMessageDeflate: false,
      skipUTF8Validation: true,
    });
    socket.once('error', reject);
    socket.on('message', (text) => {
      const { type, position } = JSON.parse(text);
      if (type === 'open') resolve(socket);
      else if (type === 'ack') socket.emit('ack', position);
    });
  });
}

function keepAppending(socket, message, state) {
  let position = 0;
  let sentAt = 0;
  const send = () => {
    position += message.length;
    sentAt = performance.now();
    socket.send(message);
  };
  socket.on('ack', (acknowledged) => {
    if (acknowledged !== position) return;
    state.acknowledged++;
    state.latenciesMs.push(performance.now() - sentAt);
    if (state.isRunning) send();
  });
  send();
}
