import { setTimeout as delay } from 'node:timers/promises';
import { measureUsage } from './usage.mjs';

/** The first part of the time counts for nothing: a fresh server's code is hardly compiled. */
const WARM_UP_SHARE = 0.25;

/**
 * Sends one request after the other on each connection, each when the last one
 * is answered, for a time.
 *
 * @param {number} pid the server's
 * @param {import('./http-connection.mjs').HttpConnection[]} connections
 * @param {Buffer[]} requests one for each connection, sent again and again
 * @param {number} status what each must be answered with
 * @returns requests per second, latency, the server's processor time, and `answered`: how many there were, the warm-up's included
 */
export async function requestLoop({ pid, connections, requests, status: wanted, durationMs }) {
  let isRunning = true;
  let underWay = connections.length;
  let answered = 0;
  let latenciesMs = [];
  let settle;
  const ended = new Promise((resolve, reject) => {
    settle = resolve;
    for (const [i, connection] of connections.entries()) {
      let sentAt = performance.now();
      connection.onFailure = reject;
      connection.reader.onResponse = (status) => {
        if (status !== wanted) {
          reject(new Error(`answered with ${status}`));
          return;
        }
        const now = performance.now();
        answered++;
        latenciesMs.push(now - sentAt);
        if (!isRunning) {
          underWay--;
          if (underWay === 0) resolve();
          return;
        }
        sentAt = now;
        connection.send(requests[i]);
      };
      connection.send(requests[i]);
    }
  });
  // A failure ends the waiting below at once.
  const pause = (ms) => Promise.race([delay(ms), ended]);
  await pause(durationMs * WARM_UP_SHARE);
  const answeredBefore = answered;
  latenciesMs = [];
  const usage = measureUsage(pid);
  await pause(durationMs);
  const { seconds, ...rest } = usage();
  const answeredTimed = answered - answeredBefore;
  const sorted = Float64Array.from(latenciesMs).sort();
  isRunning = false;
  await Promise.race([ended, delay(30_000, undefined, { ref: false })]);
  settle();
  return {
    ...rest,
    answered,
    requestsPerSecond: answeredTimed / seconds,
    serverMicrosecondsPerRequest: rest.serverCpuSeconds && (rest.serverCpuSeconds * 1e6) / answeredTimed,
    p50Ms: sorted[Math.floor(sorted.length / 2)],
    p99Ms: sorted[Math.floor(sorted.length * 0.99)],
  };
}
