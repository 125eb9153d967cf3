import { statSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { warmPageCache } from '../page-cache.mjs';
import { Appender } from './appender.mjs';
import { closeAll, openFollowers } from './follower.mjs';
import { whileProgressing } from './progress.mjs';
import { measureUsage } from './usage.mjs';

/** So that the last follower is served, and the processors are quiet, when the clock starts. */
const SETTLE_MS = 200;

const POLL_MS = 1;

/**
 * One appender, any number of followers, as fast as it goes. It is over when
 * every follower has everything, the stalled ones, who never read, aside; and
 * the file, too, where the server keeps one: whoever sends before it writes has
 * its work still to do.
 *
 * With `appendPort` it is appended to another server than the one that is followed.
 *
 * Before the clock starts, `warmUpMessages` go the same way to another resource.
 */
export async function throughput(parameters) {
  const { warmUpMessages, messages, messageBytes, temporaryDirectory } = parameters;
  await pass('warm-up', { ...parameters, messages: warmUpMessages, stalled: 0 });
  warmPageCache(messages * messageBytes, temporaryDirectory);
  return pass('timed', parameters);
}

async function pass(name, { target, appendPort = target.port, messages, messageBytes, followers, stalled }) {
  const appender = await Appender.open({ ...target, port: appendPort }, name);
  const readers = await openFollowers(target, name, followers);
  const sleepers = await openFollowers(target, name, stalled);
  for (const sleeper of sleepers) sleeper.stall();
  await delay(SETTLE_MS);

  const totalBytes = messages * messageBytes;
  const file = target.file.replace('{name}', name);
  const arrived = allHave(readers, totalBytes).then(() => target.keepsFile && fileHas(file, totalBytes));
  const progress = () => sumOf(readers) + (target.keepsFile ? sizeOf(file) : 0);
  const usage = measureUsage(target.pid);
  try {
    await whileProgressing(Promise.all([appender.sendAll(messages, messageBytes), arrived]), progress, name);
    const figures = usage();
    for (const { payloadBytes } of readers) {
      if (payloadBytes > totalBytes) throw new Error(`a follower got ${payloadBytes} of ${totalBytes} bytes`);
    }
    return { ...figures, bytes: totalBytes, deliveredBytes: totalBytes * followers };
  } finally {
    closeAll(sleepers);
    closeAll(readers);
    appender.close();
  }
}

function allHave(followers, bytes) {
  let missing = followers.length;
  if (missing === 0) return Promise.resolve();
  return new Promise((resolve) => {
    for (const follower of followers) {
      follower.onProgress = () => {
        if (follower.payloadBytes < bytes) return;
        follower.onProgress = () => {};
        missing--;
        if (missing === 0) resolve();
      };
    }
  });
}

async function fileHas(file, bytes) {
  while (sizeOf(file) < bytes) await delay(POLL_MS);
}

function sizeOf(file) {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

function sumOf(followers) {
  return followers.reduce((sum, follower) => sum + follower.payloadBytes, 0);
}
