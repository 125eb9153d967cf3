// A client that is measured: a process of its own, with nothing else in it. Gets what to do as one JSON argument
// and prints the figures as one line of JSON on stdout; a failure is one line on stderr and exit code 1.

import { bundle } from './clients/bundle.mjs';
import { imports } from './clients/imports.mjs';
import { download, relay, small } from './clients/tasks.mjs';

const TASKS = { download, relay, small };

const { task, module, entry, ...parameters } = JSON.parse(process.argv[2]);
try {
  const figures = await measure();
  // Connections that are still open do not matter any more.
  process.stdout.write(`${JSON.stringify(figures)}\n`, () => process.exit(0));
} catch (error) {
  const cause = error.cause === undefined ? '' : ` (${error.cause.message})`;
  process.stderr.write(`${error.message}${cause}\n`, () => process.exit(1));
}

async function measure() {
  if (task === 'imports') return imports(entry, parameters.processes);
  if (task === 'bundle') return bundle(entry, parameters.names);
  const { open } = await import(new URL(`clients/${module}`, import.meta.url));
  const client = await open(entry);
  const residentBytes = process.memoryUsage().rss;
  return TASKS[task](client, parameters, async (run) => {
    const begun = performance.now();
    const before = process.cpuUsage();
    await run();
    const seconds = (performance.now() - begun) / 1000;
    if (client.isElsewhere) return { seconds };
    const { user, system } = process.cpuUsage(before);
    // The largest since the process began, so what a warm-up took is in it.
    const peakBytes = process.resourceUsage().maxRSS * 1024;
    return { seconds, cpuSeconds: (user + system) / 1e6, peakGrowth: (peakBytes - residentBytes) / 1e6 };
  });
}
