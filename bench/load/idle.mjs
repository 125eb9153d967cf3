import { setTimeout as delay } from 'node:timers/promises';
import { warmPageCache } from '../page-cache.mjs';
import { Appender } from './appender.mjs';
import { closeAll, openFollowers } from './follower.mjs';
import { maskedFrame } from './frames.mjs';
import { measureUsage } from './usage.mjs';

const WARM_UP_FOLLOWERS = 200;
const SETTLE_MS = 1000;

/** More memory than any of the servers takes for its followers. */
const WARM_BYTES = 256 * 1024 * 1024;

/** Connects many followers to a resource to which nothing is appended, and looks at the server. */
export async function idle({ target, followers, idleMs, temporaryDirectory }) {
  closeAll(await openOn(target, 'warm-up', WARM_UP_FOLLOWERS));
  warmPageCache(WARM_BYTES, temporaryDirectory);
  await delay(SETTLE_MS);

  const connecting = measureUsage(target.pid);
  const readers = await openOn(target, 'timed', followers);
  const { seconds } = connecting();
  await delay(SETTLE_MS);
  const { serverResidentGrowthBytes } = connecting();
  const idling = measureUsage(target.pid);
  await delay(idleMs);
  const { seconds: idleSeconds, serverCpuSeconds, loadCpuShare } = idling();
  closeAll(readers);

  return {
    seconds,
    loadCpuShare,
    connectsPerSecond: followers / seconds,
    bytesPerFollower: serverResidentGrowthBytes && serverResidentGrowthBytes / followers,
    idleCpuPercent: serverCpuSeconds === undefined ? undefined : (serverCpuSeconds / idleSeconds) * 100,
  };
}

async function openOn(target, name, count) {
  const appender = await Appender.open(target, name);
  appender.sendFrame(maskedFrame(target.opcode, 64));
  return openFollowers(target, name, count);
}
