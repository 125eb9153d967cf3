import { residentBytes } from '../process-stats.mjs';

const SAMPLE_MS = 100;

/** Looks at the server's memory again and again: what was there and went is growth, too. */
export function watchMemory(pid) {
  const before = residentBytes(pid);
  const watch = {
    peakGrowthBytes: before === undefined ? undefined : 0,
    stop: () => clearInterval(timer),
  };
  const timer = setInterval(() => {
    const now = residentBytes(pid);
    if (now !== undefined) watch.peakGrowthBytes = Math.max(watch.peakGrowthBytes, now - before);
  }, SAMPLE_MS);
  return watch;
}
