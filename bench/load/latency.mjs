import { setTimeout as delay } from 'node:timers/promises';
import { Appender } from './appender.mjs';
import { closeAll, openFollowers } from './follower.mjs';
import { maskedFrame } from './frames.mjs';
import { whileProgressing } from './progress.mjs';
import { measureUsage } from './usage.mjs';

const SETTLE_MS = 200;

/**
 * Sends messages at a fixed rate and takes the time from the call that sends
 * one to the read that brings it, for each message and follower. Messages may
 * come merged: which have arrived is told by the number of bytes. With `appendPort` they are appended to another server
 * than the one that is followed.
 */
export async function latency(parameters) {
  await pass('warm-up', { ...parameters, messages: parameters.warmUpMessages });
  return pass('timed', parameters);
}

async function pass(
  name,
  { target, appendPort = target.port, messages, messageBytes, messagesPerSecond, followers },
) {
  const appender = await Appender.open({ ...target, port: appendPort }, name);
  const readers = await openFollowers(target, name, followers);
  await delay(SETTLE_MS);

  const sentAt = new Float64Array(messages);
  const samples = new Float64Array(messages * followers);
  let taken = 0;
  const arrived = new Promise((resolve) => {
    for (const reader of readers) {
      let seen = 0;
      reader.onProgress = () => {
        const now = performance.now();
        for (; (seen + 1) * messageBytes <= reader.payloadBytes && seen < messages; seen++) {
          samples[taken++] = now - sentAt[seen];
        }
        if (taken === samples.length) resolve();
      };
    }
  });

  const usage = measureUsage(target.pid);
  try {
    const sent = sendAtRate(appender, maskedFrame(target.opcode, messageBytes), messagesPerSecond, sentAt);
    await whileProgressing(Promise.all([sent, arrived]), () => taken, name);
  } finally {
    closeAll(readers);
    appender.close();
  }
  samples.sort();
  return { ...usage(), p50Ms: percentile(samples, 0.5), p99Ms: percentile(samples, 0.99) };
}

async function sendAtRate(appender, frame, messagesPerSecond, sentAt) {
  const startedAt = performance.now();
  while (appender.sentMessages < sentAt.length) {
    const due = ((performance.now() - startedAt) * messagesPerSecond) / 1000;
    while (appender.sentMessages < Math.min(due, sentAt.length)) {
      sentAt[appender.sentMessages] = performance.now();
      appender.sendFrame(frame);
    }
    await delay(1);
  }
}

function percentile(sorted, share) {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
}
