import { cpuSeconds, residentBytes } from '../process-stats.mjs';

/** Starts to measure what the server, and this process, use; call the result for the figures since then. */
export function measureUsage(pid) {
  const startedAt = performance.now();
  const cpuBefore = cpuSeconds(pid);
  const residentBefore = residentBytes(pid);
  const ownBefore = process.cpuUsage();
  return () => {
    const seconds = (performance.now() - startedAt) / 1000;
    const own = process.cpuUsage(ownBefore);
    return {
      seconds,
      serverCpuSeconds: difference(cpuSeconds(pid), cpuBefore),
      serverResidentGrowthBytes: difference(residentBytes(pid), residentBefore),
      // Near 1, the load generator and not the server was what could not go faster.
      loadCpuShare: (own.user + own.system) / 1e6 / seconds,
    };
  };
}

function difference(after, before) {
  return after === undefined || before === undefined ? undefined : after - before;
}
